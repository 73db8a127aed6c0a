"""Room for texts: what is too long is wrapped, thinned or cut until it lies within the figure.

A layout engine of the figure, where it has one, finds the place of the axes; where it has none,
axes whose texts stick out of their part of the figure are made smaller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from skinfluence.inspection.tables import cut

LONGEST_LABEL = 36
"""Characters of a label of a bar."""

SHARE = 0.42
"""Of the width of their part of the figure that names of ticks may take."""

LINES = {"title": 2, "xlabel": 3, "ylabel": 3}
"""Lines of a title and of the names of the axes at most; the last is cut."""

PLAIN = 1e-2, 1e5
"""Between these the ends of an axis are written as they are; beyond, a power of ten is left out."""

CUT = "…"
"""At the end of what was cut."""

ROUNDS = 4
"""Times that texts and axes give way to each other."""

PAD = 3.0
"""Pixels between texts and the edge of their part of the figure."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """From bottom to top."""
        return self.y1 - self.y0

    def meets(self, other: Box) -> bool:
        """Return whether two boxes have a point in common."""
        across = self.x0 < other.x1 and other.x0 < self.x1
        return across and self.y0 < other.y1 and other.y0 < self.y1

    def holds(self, other: Box) -> bool:
        """Return whether another box lies within."""
        across = self.x0 <= other.x0 and other.x1 <= self.x1
        return across and self.y0 <= other.y0 and other.y1 <= self.y1


def as_text(label: Any, widest: int | None = LONGEST_LABEL) -> str:
    """Return a label as a picture shows it: cut where it is long, a dollar as a dollar.

    Half a character, as of file names that are no text, is "?": matplotlib draws none.
    """
    text = str(label) if widest is None else cut(label, widest)
    text = text.encode(errors="replace").decode()
    return text.replace("$", r"\$")


# ------------------------------------------------------------------------------ to measure, to fit


def box_of(artist: Any) -> Box:
    """Return what an artist, or axes, covers, in pixels."""
    return Box(*artist.get_window_extent().extents)


def cell_of(ax: Any) -> Box:
    """Return the part of the figure that is the axes' own, in pixels.

    All of it for axes alone; in a grid up to the axes on the left, and half of the gaps above and
    below.
    """
    spec = ax.get_subplotspec()
    figure = Box(*ax.figure.bbox.extents)
    if spec is None:
        return figure
    outermost = spec.get_topmost_subplotspec()
    whole = figure if outermost is spec else _cell(outermost, ax.figure, figure)
    return _cell(spec, ax.figure, whole)


def _cell(spec: Any, figure: Any, whole: Box) -> Box:
    grid, rows, columns = spec.get_gridspec(), spec.rowspan, spec.colspan
    bottoms, tops, lefts, rights = grid.get_grid_positions(figure)
    x, y, width, height = figure.bbox.bounds
    gaps = [(bottom + top) / 2 for bottom, top in zip(bottoms[:-1], tops[1:], strict=True)]
    return Box(
        whole.x0 if columns.start == 0 else x + width * rights[columns.start - 1],
        whole.y0 if rows.stop == len(tops) else y + height * gaps[rows.stop - 1],
        whole.x1 if columns.stop == len(lefts) else x + width * rights[columns.stop - 1],
        whole.y1 if rows.start == 0 else y + height * gaps[rows.start - 1],
    )


def ruler(ax: Any, **font: Any) -> Callable[[str], Box]:
    """Return a function that measures lines of text of a font, from 0, 0.

    Parameters
    ----------
    ax : matplotlib Axes, or what else has a figure
    **font
        Properties of a matplotlib Text.
    """
    from matplotlib.text import Text

    line = Text(0, 0, "", **font)
    line.set_figure(ax.figure)

    def size(text: str) -> Box:
        line.set_text(text)
        found = box_of(line)
        return Box(0.0, 0.0, found.width, found.height)

    return size


def small_font() -> float:
    """Return the size of a font that is smaller than others, in points."""
    from matplotlib.font_manager import FontProperties

    return float(FontProperties(size="small").get_size_in_points())


def cut_to(text: str, width: float, size: Callable[[str], Box]) -> str:
    """Return the longest beginning of a text that has room, with an ellipsis; a letter at least."""
    if size(text).width <= width:
        return text
    few, many = 1, max(len(text) - 1, 1)
    while few < many:
        middle = (few + many + 1) // 2
        few, many = (
            (middle, many) if size(_shortened(text, middle)).width <= width else (few, middle - 1)
        )
    return _shortened(text, few)


def told_apart(names: Sequence[str], width: float, size: Callable[[str], Box]) -> list[str]:
    """Return names cut to a width; those that would be the same begin where they differ."""
    short = [cut_to(name, width, size) for name in names]
    alike: dict[str, list[str]] = {}
    for name, shortened in zip(names, short, strict=True):
        alike.setdefault(shortened, []).append(name)
    return [
        shortened
        if len(set(alike[shortened])) == 1
        else cut_to(CUT + name[_first_difference(alike[shortened]) :], width, size)
        for name, shortened in zip(names, short, strict=True)
    ]


def _first_difference(texts: Sequence[str]) -> int:
    """Return where the first word or number begins in which texts differ."""
    letters = enumerate(zip(*texts, strict=False))
    shortest = min(map(len, texts))
    same = next((k for k, each in letters if len(set(each)) > 1), shortest)
    return len(re.sub(r"[\w.]+$", "", texts[0][:same]))


def _shortened(text: str, length: int) -> str:
    return text[:length].rstrip(" \\") + CUT


def every(ax: Any, n: int, line: float) -> int:
    """Return of which of n rows there is room for a line: each, every second, ..."""
    return max(int(np.ceil(n * line / (0.7 * cell_of(ax).height))), 1)


def wrapped(text: str, width: float, size: Callable[[str], Box], lines: int = 4) -> str:
    """Return a text in lines that have room; what is beyond so many lines is cut."""
    whole: list[str] = []
    for given in text.split("\n"):
        line = ""
        words = given.replace(" +- ", "\N{NO-BREAK SPACE}+-\N{NO-BREAK SPACE}").split(" ")
        for word in [given] if size(given).width <= width else filter(None, words):
            longer = f"{line} {word}".lstrip()
            if line and size(longer).width > width:
                whole.append(line)
                line = word
            else:
                line = longer
        whole.append(line)
    if len(whole) > lines:
        last = text.split("\n")[-1] if "\n" in text else ""  # which says what colours mean
        first = lines - 1 if last else lines
        whole = [*whole[: first - 1], f"{whole[first - 1]} {CUT}", *([last] if last else [])]
    kept = "\n".join(cut_to(line, width, size) for line in whole)
    return kept.replace("\N{NO-BREAK SPACE}+-\N{NO-BREAK SPACE}", " +- ")


# ------------------------------------------------------------------------------------ to settle


def settle(ax: Any, share: float, thin: Callable[[], bool]) -> None:
    """Make the texts of axes, and the axes, so small that they lie in their part of the figure.

    Parameters
    ----------
    ax : matplotlib Axes
        Everything is drawn; marks with a label are explained in a legend, unless there is one.
    share : float
        Of the width, for the names of ticks.
    thin : callable
        Leaves out texts that run into others, and returns whether there were any.
    """
    cell = cell_of(ax)
    for axis in (ax.xaxis, ax.yaxis):
        leave_out_power(axis)
    _cut_names(ax, cell, share)
    texts = {name: getattr(ax, f"get_{name}")() for name in ("title", "xlabel", "ylabel")}
    named = texts["ylabel"]
    legend = _Legend(ax, cell)
    for _ in range(ROUNDS):
        _lay_out(ax)
        changed = [_thin(ax.xaxis), _thin(ax.yaxis), thin()]
        texts["ylabel"] = _saying_which(ax.yaxis, named)
        changed += [legend.settle(), _wrap(ax, cell, texts), _shrink(ax, cell)]
        if not any(changed):
            break
    else:
        _lay_out(ax)
    while _thin(ax.xaxis) or _thin(ax.yaxis) or thin():  # axes may have become smaller since
        pass
    if _has_engine(ax) and _shrunk(ax, Box(*ax.figure.bbox.extents)):
        ax.set_in_layout(False)  # the engine of matplotlib 3.8 may leave square axes too wide


def leave_out_power(axis: Any) -> None:
    """Write small and large numbers at ticks without their power of ten; the label says it.

    Nothing is then written at the end of the axis, where other texts are.
    """
    from matplotlib.ticker import ScalarFormatter

    if type(axis.get_major_formatter()) is not ScalarFormatter:
        return
    largest = float(np.abs(axis.get_view_interval()).max())
    power = 0 if not largest or PLAIN[0] <= largest < PLAIN[1] else int(np.floor(np.log10(largest)))
    numbers = ScalarFormatter(useOffset=False)
    numbers.set_scientific(power != 0)
    numbers.set_powerlimits((power, power))
    axis.set_major_formatter(numbers)
    axis.get_offset_text().set_visible(False)
    if power and (label := axis.get_label_text()):
        first, *others = label.split("\n")
        axis.set_label_text("\n".join([f"{first}, in\N{NO-BREAK SPACE}1e{power}", *others]))


def _saying_which(axis: Any, label: str) -> str:
    """Return the label of an axis, which says so where only every second row, ... has a name."""
    steps = np.diff(axis.get_ticklocs())
    if not (label and _is_named(axis) and len(steps)) or steps[0] < 1.5 or np.ptp(steps) > 0.1:
        return label
    n = round(float(steps[0]))
    ordinal = {2: "second", 3: "third"}.get(n, f"{n}th")
    return f"{label} (every\N{NO-BREAK SPACE}{ordinal})"


def _lay_out(ax: Any) -> None:
    """Find the places of everything, by the engine of the figure where it has one."""
    figure = ax.figure.figure
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    ax.apply_aspect()


def _has_engine(ax: Any) -> bool:
    return ax.figure.figure.get_layout_engine() is not None and ax.get_in_layout()


def _is_named(axis: Any) -> bool:
    from matplotlib.ticker import FixedLocator

    return isinstance(axis.get_major_locator(), FixedLocator)


def _cut_names(ax: Any, cell: Box, share: float) -> None:
    """Cut the names of ticks to their room, and leave out those that have none."""
    for axis, length in ((ax.yaxis, cell.height), (ax.xaxis, cell.width)):
        if not _is_named(axis) or not len(ticks := axis.get_ticklocs()):
            continue
        labels = axis.get_ticklabels()
        names = [label.get_text() for label in labels]
        size = ruler(ax, fontproperties=labels[0].get_fontproperties())
        room, n = 0.7 * length, len(ticks)
        width = share * cell.width if axis is ax.yaxis else room / n
        least = n * size("Ag").height if axis is ax.yaxis else 0.0
        if least > room or max(size(name).width for name in names) > width:
            axis.set_tick_params(labelsize="small")
            size = ruler(ax, fontsize=small_font())
        line = size("Ag")
        widest = max(size(name).width for name in names) + 4 * PAD
        least = line.height if axis is ax.yaxis else min(3 * line.width, widest)
        each = int(np.ceil(n * least / room))
        width = share * cell.width if axis is ax.yaxis else each * room / n
        axis.set_ticks(ticks[::each], told_apart(names[::each], width, size))


def _shown(axis: Any, *, minor: bool = False) -> list[tuple[float, Any]]:
    """Return places and labels of the ticks within the axes, in the order of their places."""
    low, high = sorted(axis.get_view_interval())
    pairs = zip(axis.get_ticklocs(minor=minor), axis.get_ticklabels(minor=minor), strict=False)
    inside = [(at, each) for at, each in pairs if low <= at <= high and each.get_text()]
    return sorted(inside, key=lambda pair: pair[0])


def _thin(axis: Any) -> bool:
    """Leave out labels of ticks that run into others."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    shown = _shown(axis)
    kept: list[Any] = []
    boxes: list[Box] = []
    for at, label in shown:
        box = box_of(label)
        if not boxes or not boxes[-1].meets(_with_gap(box)):
            kept.append((at, label.get_text()))
            boxes.append(box)
    minor = [box_of(label) for _, label in _shown(axis, minor=True)]
    if any(one.meets(other) for k, one in enumerate(minor) for other in [*minor[:k], *boxes]):
        axis.set_minor_formatter(NullFormatter())
    if len(kept) == len(shown):
        return False
    locator = axis.get_major_locator()
    if _is_named(axis):
        every_second = [(at, label.get_text()) for at, label in shown[::2]]
        pairs = every_second if len(kept) > 2 and _is_even([at for at, _ in shown]) else kept
        axis.set_ticks([at for at, _ in pairs], [text for _, text in pairs])
    elif isinstance(locator, MaxNLocator) and len(kept) > 1:
        locator.set_params(nbins=len(kept) - 1, min_n_ticks=1)
    elif isinstance(locator, MaxNLocator):
        axis.set_ticks([kept[0][0]])
    elif isinstance(locator, LogLocator):
        locator.set_params(subs=[1.0], numticks=max(len(kept), 2))
    return True


def _is_even(places: Sequence[float]) -> bool:
    steps = np.diff(places)
    return bool(np.ptp(steps) < 0.1 * np.abs(steps).max())


def _with_gap(box: Box) -> Box:
    return Box(box.x0 - 2 * PAD, box.y0, box.x1 + 2 * PAD, box.y1)


def _wrap(ax: Any, cell: Box, texts: dict[str, str]) -> bool:
    """Wrap the title and the names of the axes; what would be cut is written smaller first."""
    axes = box_of(ax)
    labels = {"title": ax.title, "xlabel": ax.xaxis.label, "ylabel": ax.yaxis.label}
    before = [label.get_text() for label in labels.values()]
    for name, label in labels.items():
        if not texts[name]:
            continue
        write = _write_upright if name == "ylabel" else _write_level
        label.set_text(texts[name])
        write(label, cell, axes, LINES[name])
        if CUT in label.get_text() and label.get_fontsize() > small_font():
            label.set_fontsize(small_font())
            label.set_text(texts[name])
            write(label, cell, axes, LINES[name])
    return before != [label.get_text() for label in labels.values()]


def _write_upright(label: Any, cell: Box, axes: Box, lines: int) -> None:
    """Wrap a text along the axes, or a little more."""
    size = ruler(label, fontproperties=label.get_fontproperties())
    room = min(axes.height + 2.5 * size("Ag").height, cell.height) - 2 * PAD
    label.set_text(wrapped(label.get_text(), room, size, lines))


def _write_level(label: Any, cell: Box, axes: Box, lines: int) -> None:
    """Wrap a text over the middle of the axes, or of their part of the figure if that is better."""
    size, text = ruler(label, fontproperties=label.get_fontproperties()), label.get_text()
    middle, whole = (axes.x0 + axes.x1) / 2, (cell.x0 + cell.x1) / 2
    gap = 0.6 * size("n").width  # on both sides, or it runs into that of the next axes
    room = 2 * (min(middle - cell.x0, cell.x1 - middle) - gap)
    here, there = (wrapped(text, each, size, lines) for each in (room, cell.width - 2 * gap))
    shifted = here != there and (here.count("\n") > text.count("\n") or CUT in here)
    label.set_text(there if shifted else here)
    label.set_x((whole - axes.x0) / axes.width if shifted else 0.5)


def _shrink(ax: Any, cell: Box) -> bool:
    """Make axes smaller whose texts stick out, where no engine does; return whether they did."""
    if _has_engine(ax) or not _shrunk(ax, cell):
        return False
    ax.set_in_layout(True)
    return True


def _shrunk(ax: Any, cell: Box) -> bool:
    """Make axes smaller whose texts stick out; return whether they did."""
    ax.apply_aspect()
    covered = Box(*ax.get_tightbbox().extents)
    left, bottom = max(cell.x0 + PAD - covered.x0, 0.0), max(cell.y0 + PAD - covered.y0, 0.0)
    right, top = max(covered.x1 + PAD - cell.x1, 0.0), max(covered.y1 + PAD - cell.y1, 0.0)
    if max(left, bottom, right, top) < PAD:
        return False
    figure, place = ax.figure.bbox, ax.get_position(original=True)
    width = max(place.width - (left + right) / figure.width, 0.1 * cell.width / figure.width)
    height = max(place.height - (bottom + top) / figure.height, 0.1 * cell.height / figure.height)
    ax.set_position(
        [place.x0 + left / figure.width, place.y0 + bottom / figure.height, width, height]
    )
    return True


# ------------------------------------------------------------------------ what explains the marks

LEGEND = "skinfluence"


def _width(widths: Sequence[float], n: int) -> float:
    """Return the width of a legend in n columns."""
    rows = -(-len(widths) // n)
    return sum(max(widths[k : k + rows]) for k in range(0, len(widths), rows))


class _Legend:
    """A legend above the axes, under the title, where it covers no mark."""

    def __init__(self, ax: Any, cell: Box) -> None:
        self.ax, self.cell = ax, cell
        self.font = small_font()
        self.size = ruler(ax, fontsize=self.font)
        self.handle = 4 * self.size("M").width
        self.ncols = 0
        there = ax.get_legend()
        if there is None or there.get_gid() == LEGEND:
            labels = ax.get_legend_handles_labels()[1]
            widths = [self.size(label).width + self.handle for label in labels]
            fits = (n for n in range(len(labels), 1, -1) if _width(widths, n) <= 0.9 * cell.width)
            self.ncols = next(fits, 1) if labels else 0
            self._draw()

    def _draw(self) -> None:
        if not self.ncols:
            return
        handles, labels = self.ax.get_legend_handles_labels()
        width = max(0.95 * self.cell.width / self.ncols - self.handle, self.handle)
        wide = [self.size(label).width + self.handle for label in labels]
        if _width(wide, self.ncols) <= 0.9 * self.cell.width:
            width = np.inf
        legend = self.ax.legend(
            handles,
            [cut_to(label, width, self.size) for label in labels],
            frameon=False,
            fontsize=self.font,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderpad=0.2,
            borderaxespad=0.2,
            handlelength=1.6,
            columnspacing=1.2,
            labelspacing=0.25,
            ncols=self.ncols,
        )
        legend.set_gid(LEGEND)
        if title := self.ax.get_title():
            height = box_of(legend).height * 72 / self.ax.figure.figure.dpi
            self.ax.set_title(title, pad=height + 5.0)
            legend.set_in_layout(False)  # the title is above it, and axes may be narrower

    def settle(self) -> bool:
        """Have fewer columns, or begin left of the axes, to have room; return whether it has."""
        if not self.ncols:
            return False
        legend, axes = self.ax.get_legend(), box_of(self.ax)
        over = box_of(legend).x1 - self.cell.x1 + PAD
        if over <= 0:
            return False
        if self.ncols > 1:
            self.ncols -= 1
            self._draw()
        else:
            start = max(box_of(legend).x0 - over, self.cell.x0)
            legend.set_bbox_to_anchor(((start - axes.x0) / axes.width, 1.0), self.ax.transAxes)
        return True
