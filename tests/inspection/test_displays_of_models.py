"""What displays of fitted models hold, against their results, by plain loops and textbooks."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import (
    InfluenceClassifier,
    InfluenceRegressor,
    LabelAudit,
    leave_one_out_curve,
    validation_audit,
)
from skinfluence.inspection import (
    DeletionDisplay,
    DiagnosticsDisplay,
    InfluenceDisplay,
    LabelQualityDisplay,
    LeaveOneOutCurveDisplay,
    LeaveOneOutDisplay,
    RecoveryDisplay,
    RowsDisplay,
    ValidationAuditDisplay,
)

X, Y = load_diabetes(return_X_y=True, as_frame=True)
X.index = Y.index = [f"patient {k}" for k in range(len(X))]
TRAIN, TEST = slice(0, 120), slice(120, 125)


@pytest.fixture(scope="module")
def model():
    return InfluenceRegressor(Ridge(alpha=0.1)).fit(X[TRAIN], Y[TRAIN])


@pytest.fixture(scope="module")
def least_squares():
    return InfluenceRegressor(LinearRegression()).fit(X[TRAIN], Y[TRAIN])


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def same(one, other):
    """Two displays show the same: their numbers, and what is written."""
    assert one.frame().equals(other.frame())
    for ask in ("get_title", "get_xlabel", "get_ylabel"):
        assert getattr(one.ax_, ask)() == getattr(other.ax_, ask)()


# -------------------------------------------------------------------------------------------- bars


def test_bars_are_the_rows_at_either_end_with_their_own_columns(model):
    influence = model.influence(X[TEST], Y[TEST])
    display = InfluenceDisplay.from_result(influence, "patient 122", 3, columns=["bmi", "target"])
    scores = influence.scores[2]
    last = sorted(range(120), key=lambda i: scores[i])
    expected = [i for i in reversed(last[-3:]) if scores[i] > 0]
    expected += [i for i in reversed(last[:3]) if scores[i] < 0]
    frame = display.frame()
    assert len(frame) == len(expected) == 6
    for (_, bar), i in zip(frame.iterrows(), expected, strict=True):
        assert bar["training row"] == f"patient {i}"
        assert bar["score"] == scores[i]
        assert bar["effect"] == ("helps" if scores[i] > 0 else "harms")
        assert (bar["bmi"], bar["target"]) == (X["bmi"].iloc[i], Y.iloc[i])
    texts = [text.get_text() for text in display.plot().ax_.texts]
    assert {"bmi", "target"} <= set(texts) and len(texts) == 2 * (1 + 6)
    same(display, influence.plot("patient 122", 3, columns=["bmi", "target"]))
    asked = {"test": "patient 122", "k": 3, "columns": ["bmi", "target"]}
    same(display, InfluenceDisplay.from_estimator(model, X[TEST], Y[TEST], **asked))


def test_columns_lie_beside_their_bars(model):
    ax = model.influence(X[TEST], Y[TEST]).plot(k=4, columns=["age", "target"]).ax_
    ax.figure.canvas.draw()
    right = ax.get_window_extent().x1
    for text in ax.texts:
        assert text.get_window_extent().x0 >= right
    cells = [text for text in ax.texts if text.get_weight() != "bold"]
    bars = [bar.get_window_extent() for bar in ax.patches]
    assert len(cells) == 16 and len(bars) == 8
    for text in cells:
        box, bar = text.get_window_extent(), bars[int(text.xy[1])]
        assert abs((box.y0 + box.y1) / 2 - (bar.y0 + bar.y1) / 2) < 2


def test_bars_of_groups_say_how_many_rows_they_have(model):
    groups = np.array([f"clinic {k % 7}" for k in range(120)])
    groups[:3] = "clinic 7"
    result = model.group_influence(groups, X[TEST], Y[TEST], aggregate="mean")
    display = InfluenceDisplay.from_estimator(
        model, X[TEST], Y[TEST], groups=groups, aggregate="mean"
    )
    frame = display.frame()
    assert len(frame) == 8 and frame["score"].is_monotonic_decreasing
    for _, bar in frame.iterrows():
        members = [g == bar["group"] for g in groups]
        assert bar["rows"] == sum(members)
        assert bar["score"] == result.scores[result.groups.tolist().index(bar["group"])]
    same(display, result.plot())


def test_bars_of_a_coefficient_and_of_features(model):
    changes = model.parameter_influence()
    display = InfluenceDisplay.from_parameter_influence(changes, "bmi", 4, columns="bmi")
    at = changes.coefficients.tolist().index("bmi")
    largest = sorted(range(120), key=lambda i: -abs(changes.changes[i, at]))[:4]
    assert display.frame()["training row"].tolist() == [f"patient {i}" for i in largest]
    assert display.frame()["bmi"].tolist() == [X["bmi"].iloc[i] for i in largest]
    assert display.frame()["score"].tolist() == [changes.changes[i, at] for i in largest]
    found = model.input_influence(X[TEST], Y[TEST], rows=[3, 7])
    display = InfluenceDisplay.from_input_influence(found, "patient 121", "patient 7", 2)
    largest = sorted(range(10), key=lambda j: -abs(found.derivatives[1, 1, j]))[:2]
    assert display.frame()["feature"].tolist() == [X.columns[j] for j in largest]
    same(display.plot(), found.plot("patient 121", "patient 7", k=2))


def test_numbers_beside_bars_are_never_cut():
    values = np.array([123456.75, -1.25, 17.5])
    display = InfluenceDisplay(
        np.array([2.0, 1.0, -1.0]),
        np.array(["a", "b", "c"]),
        "loss",
        "Test row 0",
        columns={f"column {k}": values + k for k in range(6)},
    )
    ax = plt.subplots(figsize=(2.5, 3.0), layout="constrained")[1]
    texts = [each.get_text() for each in display.plot(ax=ax).ax_.texts]
    cells = [text for text in texts if not text.startswith("c")]
    assert 0 < len(cells) < 18 and not any("…" in cell for cell in cells)


# --------------------------------------------------------------------------------- Cook's distance


def cooks_distances(X, y):
    """Cook's distances of least squares, by a fit without each row."""
    A = np.column_stack([X, np.ones(len(X))])
    theta = np.linalg.lstsq(A, y, rcond=None)[0]
    scale = np.sum((y - A @ theta) ** 2) / (len(A) - A.shape[1])
    distances = []
    for i in range(len(A)):
        rest = [j for j in range(len(A)) if j != i]
        moved = np.linalg.lstsq(A[rest], y[rest], rcond=None)[0]
        distances.append(np.sum((A @ (theta - moved)) ** 2) / (A.shape[1] * scale))
    return np.array(distances)


def test_points_are_those_of_textbooks_and_refits(least_squares):
    display = DiagnosticsDisplay.from_estimator(least_squares, k=3)
    A = np.column_stack([X[TRAIN], np.ones(120)])
    y = Y[TRAIN].to_numpy()
    h = np.diag(A @ np.linalg.pinv(A))
    residual = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    r = residual / np.sqrt(np.sum(residual**2) / (120 - 11) * (1 - h))
    frame = display.frame()
    np.testing.assert_allclose(frame["leverage"], h, rtol=1e-8)
    np.testing.assert_allclose(frame["studentised residual"], r, rtol=1e-7, atol=1e-9)
    found = cooks_distances(X[TRAIN].to_numpy(), y)
    np.testing.assert_allclose(frame["Cook's distance"], found, rtol=1e-6, atol=1e-9)
    named = [f"patient {i}" for i in sorted(range(120), key=lambda i: -found[i])[:3]]
    assert set(frame["row"][frame["named"]]) == set(named)
    names = [each.get_text() for each in display.ax_.texts]
    assert names[-3:] == named
    offsets = display.ax_.collections[0].get_offsets()
    np.testing.assert_array_equal(offsets, frame[["leverage", "studentised residual"]])
    same(display, least_squares.diagnostics().plot(k=3))


def test_a_row_on_a_contour_has_its_distance(least_squares):
    """The formula, held against distances by refits: on a real regression, at its own rows."""
    display = DiagnosticsDisplay.from_result(least_squares.diagnostics())
    found = cooks_distances(X[TRAIN].to_numpy(), Y[TRAIN].to_numpy())
    h, r = display.hat_diagonal, display.residuals
    for i in range(0, 120, 7):
        np.testing.assert_allclose(display.contour(found[i], h[i]), abs(r[i]), rtol=1e-6)


def test_contours_have_their_distance_and_their_number_and_lie_in_the_picture(least_squares):
    display = DiagnosticsDisplay.from_estimator(least_squares)
    ax, p = display.ax_, 11.0
    lines = [line for line in ax.lines if line.get_linestyle() == "--"]
    levels = display.levels
    assert len(levels) >= 2 and len(lines) == 2 * len(levels)
    for level, (above, below) in zip(
        levels, zip(lines[::2], lines[1::2], strict=True), strict=True
    ):
        h, r = above.get_data()
        for at, residual in zip(h.tolist(), r.tolist(), strict=True):
            distance = residual**2 * at / (p * (1 - at))
            assert abs(distance / level - 1.0) < 1e-6
        np.testing.assert_array_equal(below.get_ydata(), -r)
        inside = (h <= display.hat_diagonal.max()) & (r <= np.abs(display.residuals).max())
        assert inside.any()
    numbers = {text.get_text() for text in ax.texts}
    assert f"{levels[-1]:g}" in numbers
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["contours of Cook's distance"]


def test_one_half_and_one_are_drawn_where_they_come_into_the_picture():
    h = np.array([0.02, 0.5, 0.9, 0.58])
    r = np.array([3.0, 1.0, 2.5, 0.1])
    distances = r**2 * h / (2.0 * (1 - h))
    display = DiagnosticsDisplay(h, r, distances, np.arange(4))
    assert {0.5, 1.0} <= set(display.levels) and display.levels.max() >= 5.0
    assert not len(DiagnosticsDisplay(h, r, 1.2 * distances, np.arange(4)).levels)
    assert len(DiagnosticsDisplay(h, r, 1.02 * distances, np.arange(4)).levels)


def test_of_several_outputs_the_area_is_the_distance():
    X, y = load_iris(return_X_y=True)
    model = InfluenceClassifier(LogisticRegression(C=1.0)).fit(X, y)
    display = DiagnosticsDisplay.from_estimator(model, k=2)
    assert not len(display.levels)
    assert "area: Cook's distance" in " ".join(display.ax_.get_title().split())
    sizes = display.ax_.collections[0].get_sizes()
    distances = display.cooks_distance
    np.testing.assert_allclose(sizes, 6 + 400 * distances / distances.max())


def test_logistic_regression_has_contours():
    """Of one output, by one Newton step, with Pearson residuals: the formula holds."""
    X, y = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    model = InfluenceClassifier(pipeline).fit(X[:300, :8], y[:300])
    assert len(DiagnosticsDisplay.from_estimator(model, method="newton").levels)


def test_rows_without_numbers_are_left_out_and_counted():
    h, r = np.array([0.2, 1.0, 0.3, 0.4]), np.array([1.0, np.nan, -2.0, 0.5])
    distances = r**2 * h / (1.9 * (1 - np.where(h < 1, h, np.nan)))
    display = DiagnosticsDisplay(h, r, distances, np.array(list("abcd")), k=9).plot()
    assert display.frame()["row"].tolist() == ["a", "c", "d"]
    assert display.ax_.get_title() == "3 rows; 1 without these numbers left out"
    assert len(display.ax_.collections[0].get_offsets()) == 3


def test_twenty_thousand_rows_are_an_image_with_few_names():
    rng = np.random.default_rng(0)
    n = 20_000
    h, r = rng.beta(1, 400, n), rng.standard_normal(n)
    display = DiagnosticsDisplay(h, r, r**2 * h / (h.sum() * (1 - h)), np.arange(n)).plot()
    (points,) = display.ax_.collections
    assert points.get_rasterized() and points.get_alpha() < 0.5
    names = [each for each in display.ax_.texts if each.get_fontsize() == 8]
    worst = sorted(range(n), key=lambda i: -display.cooks_distance[i])[:5]
    assert [each.get_text() for each in names][-5:] == [str(i) for i in worst]


# ----------------------------------------------------------------------------------- the other ones


def test_points_of_a_check(model):
    check = model.leave_one_out_check(X[TEST], Y[TEST], rows=[5, 50, 100])
    display = LeaveOneOutDisplay.from_result(check)
    frame = display.frame()
    lines = iter(frame.itertuples(index=False))
    for t in range(5):
        for j, row in enumerate([5, 50, 100]):
            assert tuple(next(lines)) == (
                f"patient {120 + t}",
                f"patient {row}",
                check.predicted[t, j],
                check.actual[t, j],
            )
    same(display.plot(), check.plot())
    same(display, LeaveOneOutDisplay.from_estimator(model, X[TEST], Y[TEST], rows=[5, 50, 100]))


def test_points_of_rows_left_out(model):
    left_out = model.leave_one_out()
    display = RowsDisplay.from_result(left_out, 4)
    order = sorted(range(120), key=lambda i: -left_out.losses[i])
    frame = display.frame()
    assert frame["row"].tolist() == [f"patient {i}" for i in order]
    assert frame["given"].tolist() == [Y.iloc[i] for i in order]
    assert frame["left-out prediction"].tolist() == [left_out.predictions[i] for i in order]
    assert frame["named"].tolist() == [True] * 4 + [False] * 116
    same(display.plot(), left_out.plot(k=4))
    same(display, RowsDisplay.from_estimator(model, k=4))


def test_points_of_two_models(model, least_squares):
    compared = model.leave_one_out().compare(least_squares.leave_one_out())
    display = RowsDisplay.from_comparison(compared, 2)
    names = [f"left-out half squared error, {which} model" for which in ("first", "second")]
    order = sorted(range(120), key=lambda i: -abs(compared.losses[i, 0] - compared.losses[i, 1]))
    assert display.frame()[names].to_numpy().tolist() == compared.losses[order].tolist()
    same(display.plot(), compared.plot(k=2))


def test_wrong_rows_have_a_mark_of_their_own():
    y = np.array([0.2, 0.7, np.nan, 0.9])
    wrong = np.array([True, False, False, False])
    display = RowsDisplay(np.arange(1, 5), y, np.arange(4), 1, "rank", "probability", wrong=wrong)
    shapes = [each.get_paths()[0].vertices.shape for each in display.plot().ax_.collections]
    assert shapes[0] != shapes[1]
    frame = display.frame()
    assert frame["predicted wrong"].tolist() == [True, False, False]
    assert frame["probability"].tolist() == [0.2, 0.7, 0.9]


def test_points_of_a_curve():
    curve = leave_one_out_curve(Ridge(), X[TRAIN], Y[TRAIN], "alpha", [0.01, 0.1, 1.0])
    display = LeaveOneOutCurveDisplay.from_result(curve)
    frame = display.frame()
    for k in range(3):
        assert frame["mean half squared error"][k] == pytest.approx(curve.losses[k].mean())
        assert frame["smallest"][k] == (frame["alpha"][k] == curve.best)
        error = np.std(curve.losses[k], ddof=1) / np.sqrt(120)
        assert frame["standard error"][k] == pytest.approx(error)
    same(display.plot(), curve.plot())


def test_gradients_of_a_deletion(model):
    smaller = model.without([3, 7], positions=None)
    display = DeletionDisplay.from_estimator(smaller)
    certificate = smaller.certificate_
    norms = [certificate.gradient_norm_before, certificate.gradient_norm]
    assert display.frame()["norm of the gradient"].tolist() == norms
    same(display, certificate.plot())
    with pytest.raises(AttributeError, match="certificate_"):
        DeletionDisplay.from_estimator(model)


def test_points_of_an_audit_of_labels():
    X, y = load_iris(return_X_y=True)
    y = y.copy()
    y[[3, 70]] = 2
    audit = LabelAudit().fit(X, y)
    display = LabelQualityDisplay.from_estimator(audit)
    frame = display.frame()
    points = np.concatenate([each.get_offsets() for each in display.ax_.collections])
    assert len(points) == len(frame) < 150
    quality = audit.label_quality_
    order = sorted(range(150), key=lambda i: quality[i])[: len(frame)]
    assert frame["row"].tolist() == order and frame["rank"].tolist() == [*range(1, len(frame) + 1)]
    assert frame["label quality"].tolist() == [quality[i] for i in order]
    assert frame["tier"].tolist() == [audit.result_.tiers[i] for i in order]
    same(display, LabelQualityDisplay.from_result(audit.result_).plot())


def test_points_of_a_validation_audit(model):
    audit = validation_audit(model, X[120:220], Y[120:220], k=[1, 5, 10])
    display = ValidationAuditDisplay.from_result(audit)
    frame = display.frame()
    assert frame["rows dropped"].tolist() == [1, 5, 10]
    for k in range(3):
        assert frame["change"][k] == pytest.approx(audit.effects[k].mean())
        assert frame["in-sample"][k] == audit.in_sample[k]
        assert frame["advised"][k] == (audit.advice == frame["rows dropped"][k])
    same(display.plot(), audit.plot())


def test_points_of_rankings():
    rng = np.random.default_rng(0)
    curves = {name: rng.random((3, 4)) for name in "ab"}
    frame = RecoveryDisplay(np.array([0.0, 0.1, 0.5, 1.0]), curves).frame()
    lines = iter(frame.itertuples(index=False))
    for name in "ab":
        for j, share in enumerate([0.0, 0.1, 0.5, 1.0]):
            values = [curves[name][k][j] for k in range(3)]
            mean = sum(values) / 3
            spread = (sum((value - mean) ** 2 for value in values) / 3) ** 0.5
            found = next(lines)
            assert tuple(found[:2]) == (name, share)
            np.testing.assert_allclose(found[2:], [mean, spread])
