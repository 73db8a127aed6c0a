"""Texts of every display lie within the figure: any size, long labels, many rows."""

from itertools import pairwise

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
    named = min(n, 60)
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
    return DiagnosticsDisplay(h, r, d, labels(n), k=5 if n < 300 else 60)


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
        found = boxes(texts)
        x0, y0, x1, y1 = np.array([box.padded(-1).extents for _, box in found]).reshape(-1, 4).T
        across = (x0[:, None] < x1) & (x0 < x1[:, None])
        along = (y0[:, None] < y1) & (y0 < y1[:, None])
        both = np.argwhere(np.triu(across & along, 1))
        assert len(both) == 0, [found[k][0] for k in both[0]]


SIZES = {"own": None, "half": (3.2, 2.4), "narrow": (2.5, 3.5)}
NUMBER = {"short": 8, "long": 12, "many": 600}


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.slow_rows(where=lambda make, case, size: (case, size) != ("long", "narrow"))
def test_texts_lie_within_the_figure(make, case, size):
    display = make(LABELS[case], NUMBER[case])
    ax = None
    if SIZES[size] is not None:
        ax = plt.subplots(figsize=SIZES[size], layout="constrained")[1]
    ax = display.plot(ax=ax).ax_
    assert_within(ax, ax.figure.bbox)
    assert_apart(ax)
    plt.close("all")


@pytest.mark.parametrize("first", [0, 8])
def test_texts_of_eight_small_pictures_are_apart(first):
    """Without an engine, as people have them: ticks, titles and names of axes of all neighbours."""
    figure, axes = plt.subplots(2, 4, figsize=(10.4, 5.6))
    makers = EVERY[first : first + 8]
    assert len(makers) == 8
    for make, ax in zip(makers, axes.flat, strict=True):
        make(LABELS["short"], 40).plot(ax=ax)
    figure.canvas.draw()
    for ax in axes.flat:
        assert_within(ax, figure.bbox)
        assert_apart(ax)
        assert max(ax.title.get_text().count("\n"), ax.yaxis.label.get_text().count("\n")) < 3
    for line in axes:
        labels = boxes([ax.xaxis.label for ax in line]), boxes([ax.title for ax in line])
        for around in labels:
            for (text, left), (_, right) in pairwise(around):
                assert left.x1 < right.x0, text
    plt.close("all")


def test_a_power_of_ten_is_in_the_label_and_nowhere_else():
    bars = InfluenceDisplay(np.array([3e-5, -1e-5]), np.array([4, 5]), "loss", "Test row 0")
    ax = bars.plot().ax_
    ax.figure.canvas.draw()
    first, _ = ax.get_xlabel().split("\n")
    assert first == "change of loss if the row is removed, in\N{NO-BREAK SPACE}1e-5"
    ticks = ax.get_xticks()
    texts = [label.get_text().replace("\N{MINUS SIGN}", "-") for label in ax.get_xticklabels()]
    np.testing.assert_allclose([float(text) for text in texts], ticks / 1e-5, atol=1e-9)
    assert not ax.xaxis.get_offset_text().get_visible()
    large = identity(LABELS["short"], 40)
    large.x, large.y = 1e6 * large.x, 1e6 * large.y
    ax = large.plot().ax_
    assert ax.get_xlabel() == "given, in\N{NO-BREAK SPACE}1e8"
    assert ax.get_ylabel() == "left-out prediction, in\N{NO-BREAK SPACE}1e8"
    plt.close("all")


def test_intervals_that_are_cut_are_told_apart():
    names = [f"mean radius in ({k + 7}.333, {k + 8}.333]" for k in range(8)]
    ax = plt.subplots(2, 4, figsize=(10.4, 5.6))[1][0, 1]
    InfluenceDisplay(np.linspace(1, -1, 8), np.array(names), "loss", "", what="group").plot(ax=ax)
    texts = [label.get_text() for label in ax.get_yticklabels()]
    assert len(set(texts)) == len(texts) and all(
        "\N{HORIZONTAL ELLIPSIS}" in each for each in texts
    )
    plt.close("all")


def test_rows_without_a_name_and_columns_without_room_are_told():
    rng = np.random.default_rng(0)
    columns = {f"mean radius of cell {k}": rng.random(40) for k in range(30)}
    scores = np.sort(rng.standard_normal(40))[::-1]
    bars = InfluenceDisplay(scores, np.arange(40), "loss", "Test row 7", columns=columns)
    ax = bars.plot(ax=plt.subplots(2, 4, figsize=(10.4, 5.6))[1][1, 1]).ax_
    step = np.diff(ax.get_yticks())
    assert len(set(step)) == 1 and step[0] > 1
    ordinal = {2: "second", 3: "third"}.get(int(step[0]), f"{step[0]:.0f}th")
    said = " ".join(ax.get_ylabel().split())
    assert said == f"training row (every {ordinal})"
    heads = [text for text in ax.texts if text.get_weight() == "bold"]
    assert f"{30 - len(heads)} columns without room" in ax.get_title()
    assert all(text.get_text().startswith("mean radius") for text in heads)
    plt.close("all")


def test_names_of_rows_are_beside_the_dots_that_are_there():
    """Where there is room; and the few that are outlined are those that are named."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200))
    x[:3], y[:3] = [5.0, 5.0, 5.1], [4.0, 4.2, 4.1]
    ax = RowsDisplay(x, y, np.arange(200), 3, "x", "y", identity=True).plot().ax_
    ax.figure.canvas.draw()
    dots = ax.transData.transform(np.column_stack([x, y]))
    assert len(ax.texts) == 3
    for _, box in boxes(ax.texts):
        assert not any(box.contains(*dot) for dot in dots)
    found = features(LABELS["many"], 20_000)
    drawn = found.plot().ax_.collections
    outlined = sum(int(np.count_nonzero(each.get_linewidths())) for each in drawn[:4])
    assert outlined <= found.k
    plt.close("all")


@pytest.mark.slow
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
@pytest.mark.slow_rows(where=lambda make, style: style == "default")
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
