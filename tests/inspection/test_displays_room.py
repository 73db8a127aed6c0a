"""Texts of every display lie within the figure: any size, long labels, many rows."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from skinfluence.inspection import (
    CoefficientsDisplay,
    DeletionDisplay,
    DiagnosticsDisplay,
    Display,
    FeaturesDisplay,
    ImagesDisplay,
    InfluenceDisplay,
    LabelQualityDisplay,
    LeaveOneOutCurveDisplay,
    LeaveOneOutDisplay,
    RecoveryDisplay,
    RemovalCurveDisplay,
    RowsDisplay,
    ValidationAuditDisplay,
)
from skinfluence.inspection.displays.base import HARMS, HELPS

LONG = "the 17th applicant of the branch at Saint-Denis-en-Val, whose file was read twice, $5 off"
LABELS = {
    "short": lambda n: np.array([f"row {k}" for k in range(n)], dtype=object),
    "long": lambda n: np.array([f"{k}: {LONG}"[:100] for k in range(n)], dtype=object),
    "many": lambda n: np.arange(n),
}


def influence(labels, n):
    rng = np.random.default_rng(0)
    scores = np.sort(rng.standard_normal(n) ** 3)[::-1]
    return InfluenceDisplay(scores, labels(n), "predict_proba", f"Test row {labels(1)[0]}, class 2")


def influence_with_columns(labels, n):
    bars = influence(labels, n)
    rng = np.random.default_rng(1)
    columns = {
        "age": rng.integers(18, 90, n),
        "income in thousand": rng.lognormal(3, 1, n),
        "occupation": labels(n)[::-1],
    }
    return InfluenceDisplay(bars.scores, bars.labels, "loss", bars.title, columns=columns)


def check(labels, n):
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal((3, n)) * 1e-3
    actual = 1.3 * predicted + 1e-4 * rng.standard_normal((3, n))
    return LeaveOneOutDisplay(
        predicted, actual, "decision_function", "first_order", 2e-4, "ranking", "structure"
    )


def rows(labels, n):
    rng = np.random.default_rng(0)
    y = np.sort(rng.random(n) ** 0.2)
    named = min(n, 300)
    words = "rank, largest loss first", "left-out probability of the given label"
    return RowsDisplay(
        np.arange(1, n + 1), y, labels(n), named, *words, "mean log loss 0.32 +- 0.04", y < 0.5
    )


def identity(labels, n):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n) * 100
    y = x + 30 * rng.standard_normal(n)
    order = np.argsort(-np.abs(x - y))
    title = "mean half squared error 1664 +- 92"
    return RowsDisplay(
        x[order], y[order], labels(n), 5, "given", "left-out prediction", title, identity=True
    )


def diagnostics(labels, n):
    rng = np.random.default_rng(0)
    X, r = rng.standard_t(4, (n, 3)), rng.standard_normal(n)
    h = np.einsum("ij,jk,ik->i", X, np.linalg.inv(X.T @ X), X)
    d = r**2 * h / (h.sum() * (1 - h))
    d[1] = np.nan
    return DiagnosticsDisplay(h, r, d, labels(n), k=5 if n < 300 else n)


def other_diagnostics(labels, n):
    found = diagnostics(labels, n)
    return DiagnosticsDisplay(
        found.hat_diagonal, found.residuals, 3 * found.cooks_distance, labels(n)
    )


def label_quality(labels, n):
    quality = np.linspace(0, 1, n) ** 2
    tiers = np.where(quality < 0.05, "likely", np.where(quality < 0.3, "suspected", ""))
    title = f"Labels of {n} rows (newton, then exact, 2 passes)"
    return LabelQualityDisplay(quality, tiers, 0.3 * n, (0.2 * n, 0.45 * n), title, labels(n))


def curve(labels, n):
    n = min(n, 300)
    scores = (np.linspace(-1, 2, n) ** 2 + 0.3) * 1e-3
    values = labels(n) if n < 300 else np.geomspace(1e-4, 1e4, n)
    return LeaveOneOutCurveDisplay(
        "estimator__logisticregression__C", values, scores, scores / 9, 2, "log loss"
    )


def deletion(labels, n):
    return DeletionDisplay(3.2e3, 1e-13, method="first_order")


def recovery(labels, n):
    rng = np.random.default_rng(0)
    checked = np.linspace(0, 1, 11)
    curves = {
        str(name): np.sort(rng.random((4, 11)), axis=1) ** (k + 1)
        for k, name in enumerate(labels(6))
    }
    return RecoveryDisplay(checked, curves, title="Labels of 1,197 digits, a tenth flipped")


def audit(labels, n):
    k = np.unique(np.geomspace(1, n, min(n, 300)).astype(int))
    change = -0.03 * np.exp(-((np.log(k) - 1) ** 2)) + 0.01
    numbers = change, np.full(len(k), 0.006), -0.01 * np.log(k + 1), change * 1.1
    return ValidationAuditDisplay(k, *numbers, 1, "relabel", "half squared error")


def images(labels, n):
    rng = np.random.default_rng(0)
    scores = np.array([[0.34, 0.2, 0.01, -0.5, -0.1, -0.02]] * 2)
    names, two = labels(12).reshape(2, 6), labels(2)
    pixels = rng.uniform(size=(2, 7, 8, 8))
    return ImagesDisplay(
        pixels[:, 0],
        pixels[:, 1:],
        scores,
        names,
        targets=names,
        test_labels=two,
        test_targets=two,
        predictions=two,
    )


def features(labels, n):
    rng = np.random.default_rng(0)
    x, y, scores = rng.standard_normal((3, n))
    names = [str(name) for name in labels(4)]
    classes = np.where(x > 0, names[0], names[1])
    across = np.linspace(-4, 4, 20)
    boundary = across, across, (across[None] > across[:, None]).astype(int)
    return FeaturesDisplay(
        x,
        y,
        scores,
        labels(n),
        (0.3, 0.2),
        names[2],
        names[3],
        classes=classes,
        boundary=boundary,
        title=f"Test row {names[0]}"[:60],
    )


def coefficients(labels, n):
    changes = np.random.default_rng(0).standard_normal((n, 9)) ** 3
    return CoefficientsDisplay(changes, labels(9), labels(n))


def removal(labels, n):
    rng = np.random.default_rng(0)
    curves = {str(name): rng.random((3, 6)) for name in labels(4)}
    title = "Refitted without these training rows\n(measured on the test rows that ranked them)"
    return RemovalCurveDisplay(np.linspace(0, 0.5, 6), curves, "half squared error", title)


MAKERS = {
    CoefficientsDisplay: [coefficients],
    DeletionDisplay: [deletion],
    DiagnosticsDisplay: [diagnostics, other_diagnostics],
    FeaturesDisplay: [features],
    ImagesDisplay: [images],
    InfluenceDisplay: [influence, influence_with_columns],
    LabelQualityDisplay: [label_quality],
    LeaveOneOutCurveDisplay: [curve],
    LeaveOneOutDisplay: [check],
    RecoveryDisplay: [recovery],
    RemovalCurveDisplay: [removal],
    RowsDisplay: [rows, identity],
    ValidationAuditDisplay: [audit],
}
"""Of every display, functions of labels and a number of rows."""

EVERY = [make for makers in MAKERS.values() for make in makers]


def test_every_display_has_a_maker():
    def below(cls):
        return {cls} | {each for sub in cls.__subclasses__() for each in below(sub)}

    ours = {each for each in below(Display) if each.__module__.startswith("skinfluence.")}
    assert ours - {Display} == set(MAKERS)


# --------------------------------------------------------------------------------- texts have room


def names_of_ticks(axis):
    """Return the names of the ticks that are drawn: other ticks are there, too."""
    low, high = sorted(axis.get_view_interval())
    ticks = [
        pair
        for minor in (False, True)
        for pair in zip(
            axis.get_ticklocs(minor=minor), axis.get_ticklabels(minor=minor), strict=False
        )
    ]
    return [label for at, label in ticks if low <= at <= high]


def boxes(texts):
    """Return texts that are drawn, and what they cover; an annotation without its arrow."""
    shown = [text for text in texts if text.get_visible() and text.get_text().strip()]
    return [(each.get_text(), plt.Text.get_window_extent(each)) for each in shown]


def written(ax):
    """Return the texts of axes, and what they cover."""
    texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
    if ax.get_legend() is not None:
        texts += ax.get_legend().get_texts()
    return boxes([*texts, *names_of_ticks(ax.xaxis), *names_of_ticks(ax.yaxis)])


def assert_within(ax, outer):
    ax.figure.canvas.draw()
    for text, box in written(ax):
        inside = box.x0 >= outer.x0 - 1 and box.x1 <= outer.x1 + 1
        assert inside and box.y0 >= outer.y0 - 1 and box.y1 <= outer.y1 + 1, text


def assert_apart(ax):
    """Names of ticks, and of points, do not run into each other."""
    for texts in (names_of_ticks(ax.xaxis), names_of_ticks(ax.yaxis), ax.texts):
        found = [(text, box.padded(-1)) for text, box in boxes(texts)]
        for k, (text, box) in enumerate(found):
            assert not any(box.overlaps(other) for _, other in found[:k]), text


SIZES = {"own": None, "half": (3.2, 2.4), "narrow": (2.5, 3.5)}
NUMBER = {"short": 8, "long": 12, "many": 600}


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.slow_rows(where=lambda make, case, size: size == "half" and case != "long")
def test_texts_lie_within_the_figure(make, case, size):
    display = make(LABELS[case], NUMBER[case])
    ax = None
    if SIZES[size] is not None:
        ax = plt.subplots(figsize=SIZES[size], layout="constrained")[1]
    ax = display.plot(ax=ax).ax_
    assert_within(ax, ax.figure.bbox)
    assert_apart(ax)
    plt.close("all")


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_texts_lie_within_a_grid_that_has_no_engine(make):
    figure, axes = plt.subplots(2, 2, figsize=(8, 6))
    for ax, case in zip(axes.flat, ["long", "many", "short", "long"], strict=True):
        make(LABELS[case], NUMBER[case]).plot(ax=ax)
    for k, ax in enumerate(axes.flat):
        assert_within(ax, figure.bbox)
        others = [other.get_window_extent() for other in axes.flat if other is not ax]
        for text, box in written(ax):
            assert not any(box.padded(-1).overlaps(other) for other in others), (k, text)
    plt.close("all")


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
@pytest.mark.parametrize("style", ["dark_background", "default"])
def test_neutral_lines_have_the_colour_of_texts(make, style):
    """No colour but those of the marks is there: the rest follows the settings."""
    with plt.style.context(style), plt.rc_context({"text.color": "#123456"}):
        ax = make(LABELS["short"], 8).plot().ax_
        lines = [*ax.lines, *(each for each in ax.get_xgridlines() if each.get_visible())]
        colors = {to_hex(line.get_color()) for line in lines}
    fixed = {HELPS, HARMS, "#b8862b", "#588157", "#8e6c8a", "#b08968"}
    assert colors <= fixed | {"#123456"}
    plt.close("all")


# ------------------------------------------------------------------------------- numbers come back


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_a_frame_has_text_as_names_of_its_columns(make):
    frame = make(LABELS["short"], 8).frame()
    assert isinstance(frame, pd.DataFrame) and len(frame) > 0
    assert all(isinstance(name, str) and name for name in frame.columns)
    assert frame.columns.is_unique
