"""Pictures as SVG that takes the colours of the text around it."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import numpy as np

from skinfluence.inspection.displays import Display
from skinfluence.inspection.displays.base import HARMS, HELPS
from skinfluence.inspection.report.contents import Picture

LARGEST = 60_000
"""Characters of a picture; the points and curves of a larger one become pixels."""

COLORS = {HELPS: f"var(--blue,{HELPS})", HARMS: f"var(--red,{HARMS})"}
"""What the page may draw in other tones on a dark ground."""

_SIZE = (5.6, 4.2)
_PIXELS_PER_INCH = 144
_MANY_POINTS = 200
_LEAST_OF_A_POINT = 60  # characters
_LOOK: dict[Any, Any] = {
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "skinfluence",
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_URL = re.compile(r"(?<=url\(#)[\w.-]+")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")


def svg(picture: Picture, name_prefix: str, largest: int = LARGEST) -> str:
    """Return a picture as SVG that stands in a page of HTML.

    Greys are the colour of the text, more or less opaque; white is the ground of the page
    (``--paper``); text is text, in the font of the page (``--font``).

    Parameters
    ----------
    picture : Picture
    name_prefix : str
        What the ids in it begin with; no other picture of the page has it.
    largest : int
        Characters, as `LARGEST`.

    Returns
    -------
    str
        The same for the same display.
    """
    with _look():
        figure = _drawn(picture.display)
        are_pixels = _LEAST_OF_A_POINT * _n_points(figure) > largest
        if are_pixels:
            _make_pixels(figure)
        element = _embedded(figure, picture.name, name_prefix)
        if len(element) > largest and not are_pixels:
            _make_pixels(figure)
            element = _embedded(figure, picture.name, name_prefix)
    return element


@contextmanager
def _look() -> Iterator[None]:
    """Draw in the style of a report, whatever style the user has chosen, who gets it back."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which is not installed: pip install 'skinfluence[plot]'."
        ) from error
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        # the browser has the glyphs
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _drawn(display: Display) -> Any:
    from matplotlib.figure import Figure  # no pyplot, which would keep it

    figure = Figure(figsize=display.figsize or _SIZE, layout="constrained")
    copy.copy(display).plot(figure.add_subplot())
    figure.set_layout_engine("none")  # all is in its place, and looking for it takes its time
    return figure


def _n_points(figure: Any) -> int:
    """Return how many points are drawn one by one."""
    drawn = [each for ax in figure.axes for each in ax.collections if not each.get_rasterized()]
    return sum(len(each.get_offsets()) for each in drawn)


def _make_pixels(figure: Any) -> None:
    """Draw points and long curves as pixels from now on."""
    for ax in figure.axes:
        curves = [line for line in ax.lines if np.size(line.get_xdata()) > _MANY_POINTS]
        for artist in (*ax.collections, *curves):
            artist.set_rasterized(True)


def _embedded(figure: Any, name: str, prefix: str) -> str:
    """Return a figure as an element of a page: named, without what would reach beyond it."""
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata=_NO_METADATA, dpi=_PIXELS_PER_INCH)
    root = ElementTree.fromstring(_NO_XML.sub("\ufffd", drawn.getvalue()))
    given = [(_local(key), value) for each in root.iter() for key, value in each.attrib.items()]
    referred = {value[1:] for key, value in given if key == "href" and value.startswith("#")}
    referred.update(each for _, value in given for each in _URL.findall(value))
    ids = {old: f"{prefix}-{at}" for at, old in enumerate(sorted(referred))}
    width = root.get("viewBox", "").split()[2]
    inside = "".join(_element(child, ids) for child in root)
    # where nothing is an image, pixels are points, whose tone the page may change
    points = "" if any(ax.images for ax in figure.axes) else " class=points"
    size = (
        f"max-width:{1.3 * float(width):.0f}px;font-family:var(--font,sans-serif);fill:currentColor"
    )
    return (
        f'<svg role="img" aria-label="{escape(name)}" viewBox="{_rounded(root.get("viewBox", ""))}"'
        f' style="{size}" stroke-linejoin="round"{points}>'
        f"{inside}</svg>"
    )


def _element(element: ElementTree.Element, ids: Mapping[str, str]) -> str:
    tag = _local(element.tag)
    if tag in ("style", "metadata"):  # its style would hold for the whole page
        return ""
    given = {_local(key): value for key, value in element.attrib.items()}
    colors = [f"{key}: {given.pop(key)}" for key in ("fill", "stroke") if key in given]
    if colors:
        given["style"] = "; ".join([*colors, given.get("style", "")])
    attributes = "".join(
        f' {key}="{escape(shown)}"'
        for key, value in given.items()
        if (shown := _attribute(key, value, ids))
    )
    spaced = (element.text or "").strip().replace("  ", "\u00a0\u00a0")  # a page joins spaces
    text = escape(spaced, quote=False)
    inside = text + "".join(
        _element(child, ids) + escape((child.tail or "").strip(), quote=False) for child in element
    )
    if (tag == "g" and not attributes) or (tag == "defs" and not inside):
        return inside
    return f"<{tag}{attributes}>{inside}</{tag}>"


def _local(name: str) -> str:
    """Return a name without its namespace, which a page of HTML does not need."""
    return name.rpartition("}")[2]


def _attribute(key: str, value: str, ids: Mapping[str, str]) -> str:
    """Return the value of an attribute as it stands in the page; "" for one that goes."""
    if key == "id":
        return ids.get(value, "")
    if value.startswith("data:"):
        return "".join(value.split())
    if key == "href":
        return f"#{ids[value[1:]]}"
    value = _URL.sub(lambda found: ids[found[0]], value)
    if key == "style":
        return _style(value)
    return "" if value.startswith("rotate(-0 ") else _rounded(value)


def _rounded(value: str) -> str:
    """Return numbers with two decimals, a hundredth of a point."""
    shorter = _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}", value)
    return " ".join(shorter.split())


def _style(style: str) -> str:
    """Return declarations in the colours and the font of the page."""
    pairs = (each.partition(":") for each in style.split(";") if ":" in each)
    given = {key.strip(): value.strip() for key, _, value in pairs}
    for key in ("fill", "stroke"):
        if key in given:
            given[key], opacity = _color(given[key])
            if opacity < 1.0:
                given[f"{key}-opacity"] = f"{opacity * float(given.get(f'{key}-opacity', 1)):.3g}"
    if "font" in given:  # of older matplotlib: style, weight, size and family in one
        *before, size = given["font"].partition("px")[0].split()
        keys = ("font-style" if word.isalpha() else "font-weight" for word in before)
        given |= dict(zip(keys, before, strict=True)) | {"font-size": f"{size}px"}
    kept = {key: value for key, value in given.items() if key not in ("font", "font-family")}
    return ";".join(f"{key}:{_rounded(value)}" for key, value in kept.items())


def _color(color: str) -> tuple[str, float]:
    """Return a colour of the page, and how opaque it is."""
    grey = re.fullmatch(r"#(..)\1\1", color)
    if color == "#ffffff":
        return "var(--paper,#fff)", 1.0
    if grey:
        return "currentColor", round(1.0 - int(grey[1], 16) / 255.0, 3)
    return COLORS.get(color, color), 1.0
