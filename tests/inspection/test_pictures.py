"""Images, two features, coefficients and removal curves: numbers by plain loops, texts in sight."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, removal_curve
from skinfluence.inspection import (
    CoefficientsDisplay,
    FeaturesDisplay,
    ImagesDisplay,
    Influence,
    InfluenceDisplay,
    RemovalCurveDisplay,
)
from skinfluence.inspection.displays.base import HARMS, HELPS

DIGITS, DIGIT = load_digits(return_X_y=True)
TESTS = np.array([600, 601, 602])


@pytest.fixture(scope="module")
def digits():
    pipeline = make_pipeline(MinMaxScaler(), LogisticRegression())
    return InfluenceClassifier(pipeline).fit(DIGITS[:300], DIGIT[:300])


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X[["mean radius", "mean texture"]][:200].rename(index=lambda i: f"patient {i}")
    X = X / X.std()
    y = y[:200].map({0: "malignant", 1: "benign"}).to_numpy()
    return InfluenceClassifier(LogisticRegression()).fit(X[:150], y[:150]), X[150:], y[150:]


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return InfluenceRegressor(Ridge(alpha=0.1)).fit(X[:150], y[:150]), X[150:200], y[150:200]


# ----------------------------------------------------------------------------------------- images


def test_images_are_those_of_the_rows_that_move_each_test_row_most(digits):
    X, y = DIGITS[TESTS], DIGIT[TESTS]
    display = ImagesDisplay.from_estimator(digits, X, y, k=2)
    scores = digits.influence_scores(X, y)
    lines = []
    for t in range(3):
        order = np.argsort(scores[t])
        for place, row in enumerate([*order[::-1][:2], *order[:2]]):
            drawn = display.axes_[t, 1 + place]
            (image,) = drawn.images
            np.testing.assert_array_equal(image.get_array(), DIGITS[row].reshape(8, 8))
            word = "helps" if scores[t, row] > 0 else "harms"
            assert drawn.get_title() == f"{word} {scores[t, row]:+.2g}\nlabel {DIGIT[row]}"
            assert drawn.get_xlabel() == f"row {row}"
            predicted = digits.predict(X)[t]
            lines.append([t, y[t], predicted, word, row, DIGIT[row], scores[t, row]])
        (image,) = display.axes_[t, 0].images
        np.testing.assert_array_equal(image.get_array(), X[t].reshape(8, 8))
        assert display.axes_[t, 0].get_title() == f"label {y[t]}\npredicted {digits.predict(X)[t]}"
        assert display.axes_[t, 0].get_xlabel() == f"test {t}"
    columns = ["test", "label", "predicted", "effect", "row", "target", "score"]
    expected = pd.DataFrame(lines, columns=columns)
    pd.testing.assert_frame_equal(display.frame(), expected, rtol=1e-9)


def test_images_of_some_test_rows_in_colour_that_are_no_features(digits):
    """Rows of other features have images of their own; a shape that is no square is said."""
    rng = np.random.default_rng(0)
    coloured, coloured_tests = rng.uniform(size=(300, 4 * 6 * 3)), rng.uniform(size=(3, 4 * 6 * 3))
    result = digits.influence(DIGITS[TESTS], DIGIT[TESTS])
    display = ImagesDisplay.from_result(
        result, coloured_tests, images=coloured, shape=(4, 6, 3), k=1, tests=[2]
    ).plot()
    assert display.axes_.shape == (1, 3)
    row = int(result.helpful(k=1)[2, 0])
    np.testing.assert_array_equal(
        display.axes_[0, 1].images[0].get_array(), coloured[row].reshape(4, 6, 3)
    )
    assert display.axes_[0, 0].get_title() == ""
    assert display.axes_[0, 0].get_xlabel() == "test 2"


def test_images_of_a_probability_are_told_by_what_rows_do(digits):
    result = digits.influence(DIGITS[TESTS], target="predict_proba")
    frame = ImagesDisplay.from_result(result, DIGITS[TESTS], k=1).frame()
    assert frame["effect"].tolist() == ["supports", "opposes"] * 3
    assert (frame["score"] < 0).tolist() == [True, False] * 3


def test_images_in_sparse_rows_and_in_bytes(digits):
    result = digits.influence(DIGITS[TESTS], DIGIT[TESTS])
    plain = ImagesDisplay.from_result(result, DIGITS[TESTS])
    packed = ImagesDisplay.from_result(result, sparse.csr_matrix(DIGITS[TESTS]))
    np.testing.assert_array_equal(packed.tests, plain.tests)
    pixels = (DIGITS * 15).astype(np.uint8).reshape(-1, 8, 8)
    stacked = ImagesDisplay.from_result(result, pixels[TESTS], images=pixels[:300])
    np.testing.assert_array_equal(stacked.images, (plain.images * 15).astype(np.uint8))


def test_colours_up_to_255_are_colours():
    image = np.full((1, 4, 4, 3), 255.0)
    display = ImagesDisplay(image, image[:, None], np.array([[0.5]]), np.array([[3]])).plot()
    assert display.axes_[0, 1].images[0].get_array().max() == 1.0


def test_no_image_where_no_row_harms():
    images, scores = np.zeros((1, 2, 3, 3)), np.array([[0.5, np.nan]])
    display = ImagesDisplay(np.ones((1, 3, 3)), images, scores, np.array([[1, 2]])).plot()
    assert display.axes_[0, 2] is None
    assert len(display.frame()) == 1


@pytest.mark.parametrize("engine", ["constrained", "tight", None])
def test_images_stay_in_the_place_of_their_axes(digits, engine):
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4), layout=engine)
    result = digits.influence(DIGITS[TESTS[:1]], DIGIT[TESTS[:1]])
    display = ImagesDisplay.from_result(result, DIGITS[TESTS[:1]], k=1).plot(ax=right)
    figure.canvas.draw()
    assert display.ax_ is right and display.figure_ is figure
    for drawn in display.axes_[0]:
        box = drawn.get_window_extent()
        assert box.x0 > figure.bbox.width / 2 and box.x1 <= figure.bbox.width
    assert left.has_data() is False


def test_images_on_axes_without_a_grid(digits):
    figure = plt.figure()
    ax = figure.add_axes((0.5, 0.5, 0.5, 0.5))
    result = digits.influence(DIGITS[TESTS[:1]], DIGIT[TESTS[:1]])
    display = ImagesDisplay.from_result(result, DIGITS[TESTS[:1]], k=1).plot(ax=ax)
    figure.canvas.draw()
    assert all(each.get_window_extent().x0 >= 0.49 * figure.bbox.width for each in display.axes_[0])


def test_refused_images(digits):
    X, y = DIGITS[TESTS], DIGIT[TESTS]
    mean = digits.influence(X, y, aggregate="mean")
    result = digits.influence(X, y)
    read = Influence.from_json(result.to_json())
    texts = np.array([["a"] * 64] * 3)
    for given, images_test, params, message in (
        (mean, X, {}, "An Influence with aggregate='mean' was given, which is about many"),
        (read, X, {}, "No images were given, and this result was read from a file"),
        (result, X[:, :63], {}, "Images of 63 pixels were given, which are no square"),
        (result, X, {"shape": (4, 4)}, "shape=(4, 4) was given, but the images have 64 pixels"),
        (result, texts, {}, "Images of type <U1 were given; numbers are accepted."),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            ImagesDisplay.from_result(given, images_test, **params)


# --------------------------------------------------------------------------------------- features


def test_points_of_two_features_by_the_scores_of_one_test_row(cancer):
    model, X, y = cancer
    display = FeaturesDisplay.from_estimator(model, X, y, position=3)
    scores = model.influence_scores(X, y)[3]
    train, labels = model.influence(X, y).given.X, model.influence(X, y).given.y
    lines = [
        [
            f"patient {i}",
            *train.iloc[i],
            labels[i],
            "helps" if scores[i] > 0 else "harms",
            scores[i],
        ]
        for i in range(150)
    ]
    columns = ["row", "mean radius", "mean texture", "class", "effect", "score"]
    pd.testing.assert_frame_equal(display.frame(), pd.DataFrame(lines, columns=columns))
    found = np.concatenate(
        [c.get_offsets() for c in display.ax_.collections if len(c.get_offsets())]
    )
    for point in train.to_numpy():
        assert np.any(np.all(np.isclose(found, point), axis=1))
    (star,) = (line for line in display.ax_.lines if line.get_marker() == "*")
    assert star.get_xydata().tolist() == [X.iloc[3].tolist()]
    title = f"Test row patient 153: {y[3]}, predicted {model.predict(X)[3]}"
    assert display.title == display.ax_.get_title() == title


def test_colours_and_outlines_say_what_rows_do():
    x, scores = np.arange(4.0), np.array([0.3, -0.3, 0.01, -0.01])
    for target, colours, named in (
        ("loss", [HELPS, HARMS], "outlined: harms"),
        ("predict_proba", [HARMS, HELPS], "outlined: opposes"),
    ):
        display = FeaturesDisplay(x, x, scores, np.arange(4), (1.0, 2.0), "a", "b", target=target)
        ax = display.plot().ax_
        weak, strong = ax.collections
        order = np.argsort(strong.get_offsets()[:, 0])
        strong.update_scalarmappable()
        found = [to_hex(strong.to_rgba(score)) for score in scores[:2]]
        assert found == colours
        sign = 1 if target == "loss" else -1
        widths = np.asarray(strong.get_linewidths())[order]
        np.testing.assert_array_equal(widths > 0, sign * scores[:2] < 0)
        assert np.all(np.asarray(weak.get_linewidths()) == 0)
        assert strong.get_zorder() > weak.get_zorder()
        assert min(strong.get_sizes()) > max(weak.get_sizes())
        assert named in [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_boundary_is_where_the_prediction_changes(cancer):
    model, X, y = cancer
    display = FeaturesDisplay.from_estimator(model, X, y)
    xs, ys, codes = display.boundary
    classes = np.unique(model.predict(X))
    for i, j in ((0, 0), (20, 100), (159, 3)):
        row = pd.DataFrame([[xs[i], ys[j]]], columns=X.columns)
        assert classes[codes[j, i]] == model.predict(row)[0]
    assert {0, 1} == set(codes.ravel())
    assert display.predicted == "boundary of classes"


def test_other_features_are_those_of_the_test_row():
    X, y = load_diabetes(return_X_y=True)
    model = InfluenceRegressor(Ridge(alpha=0.1)).fit(X[:150], y[:150])
    display = FeaturesDisplay.from_estimator(model, X[150:], y[150:], position=7, features=["x2"])
    xs, values = display.line
    row = X[157].copy()
    for i in (0, 80, 159):
        row[2] = xs[i]
        assert values[i] == pytest.approx(model.predict([row])[0])
    assert display.test == (X[157, 2], y[157])
    assert (display.xlabel, display.ylabel) == ("x2", "y")
    assert display.predicted == "prediction, rest as of the test row"
    by_position = FeaturesDisplay.from_estimator(model, X[150:], y[150:], position=7, features=[2])
    np.testing.assert_array_equal(by_position.line, display.line)
    without = FeaturesDisplay.from_estimator(
        model, X[150:], position=7, features=[2], target="predict"
    )
    assert without.test[1] == pytest.approx(model.predict(X[157:158])[0], rel=1e-3)


def test_a_frame_keeps_its_types():
    """Columns that are no numbers may be there, and are what they are of the test row."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.standard_normal(60), "b": rng.standard_normal(60), "kind": 1})
    X["kind"] = pd.Categorical(rng.choice([0, 1], 60))
    y = (X["a"] > 0).map({True: "yes", False: "no"})
    model = InfluenceClassifier(LogisticRegression()).fit(X, y)
    display = FeaturesDisplay.from_estimator(model, X[:3], y[:3])
    assert display.predicted == "boundary of classes, rest as of the test row"


def test_the_strongest_rows_are_named(cancer):
    model, X, y = cancer
    display = FeaturesDisplay.from_estimator(model, X, y, position=3, k=3)
    scores = model.influence_scores(X, y)[3]
    strongest = {f"patient {i}" for i in np.argsort(-np.abs(scores))[:3]}
    assert {text.get_text() for text in display.ax_.texts} <= strongest
    assert display.ax_.texts


def test_refused_features(cancer, diabetes):
    model, X, y = cancer
    result = model.influence(X, y)
    regressor, X_real, y_real = diabetes
    real = regressor.influence(X_real, y_real)
    for given, tests, params, message in (
        (model.influence(X, y, top=3), X, {}, "An Influence with top= was given"),
        (model.influence(X, y, aggregate="mean"), X, {}, "An Influence with aggregate='mean' was"),
        (Influence.from_json(result.to_json()), X, {}, "read from a file without its rows"),
        (result, X, {"features": ["age", "sex"]}, "features=['age', 'sex'] was given; one or two"),
        (result, X, {"features": [0]}, "one feature, which is drawn against the numbers of one"),
        (real, X_real, {}, "One feature was given without y_test, and without a model"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            FeaturesDisplay.from_result(given, tests, **params)
    mixed = pd.DataFrame({"text": ["a", "b"] * 4, "x": np.arange(8.0)})
    worded = make_pipeline(_Encoded(), LogisticRegression())
    model = InfluenceClassifier(worded).fit(mixed, ["u", "v"] * 4)
    with pytest.raises(ValueError, match=r"The feature 'text' is of type .* no numbers"):
        FeaturesDisplay.from_estimator(model, mixed[:1], ["u"])


class _Encoded(MinMaxScaler):
    def fit(self, X, y=None):
        return super().fit(X[["x"]])

    def transform(self, X):
        return super().transform(X[["x"]])


def test_many_rows_are_drawn_as_an_image():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 20_000))
    display = FeaturesDisplay(*x, x[0] * x[1], np.arange(20_000), (0.0, 0.0), "a", "b").plot()
    assert all(each.get_rasterized() for each in display.ax_.collections)


# ----------------------------------------------------------------------------------- coefficients


def test_changes_are_in_jackknife_standard_errors(diabetes):
    model, _, _ = diabetes
    display = CoefficientsDisplay.from_estimator(model)
    changes = model.parameter_influence().changes
    n, lines = len(changes), []
    for j, name in enumerate(model.parameter_influence().coefficients):
        mean = sum(changes[:, j]) / n
        error = np.sqrt((n - 1) / n * sum((change - mean) ** 2 for change in changes[:, j]))
        for row in sorted(range(n), key=lambda row, j=j: -abs(changes[row, j])):
            lines.append([name, row, row, changes[row, j], changes[row, j] / error])
    columns = ["coefficient", "row", "position", "change", "standardized"]
    pd.testing.assert_frame_equal(display.frame(), pd.DataFrame(lines, columns=columns), rtol=1e-9)


def test_dots_of_a_strip(diabetes):
    model, _, _ = diabetes
    display = CoefficientsDisplay.from_estimator(model)
    ax = display.ax_
    assert [label.get_text() for label in ax.get_yticklabels()][-1] == "intercept"
    assert len(ax.collections) == 11
    for line, dots in enumerate(ax.collections):
        x, heights = dots.get_offsets().T
        np.testing.assert_allclose(x, display.standardized[:, line])
        assert np.all(np.abs(heights - line) <= 0.31)  # no strip runs into another
        colours = [to_hex(color) for color in dots.get_facecolors()[:, :3]]
        assert colours == [HELPS if each < 0 else HARMS for each in x]
    furthest = np.abs(display.changes).argmax(axis=0)
    assert [text.get_text() for text in ax.texts] == [str(row) for row in furthest]


def test_the_coefficients_that_move_most_are_drawn():
    rng = np.random.default_rng(0)
    changes = rng.uniform(-1, 1, (50, 20))
    changes[4, [3, 8, 11]] = 90.0  # one row makes nearly all of the error
    names = np.array([f"c{j}" for j in range(20)], dtype=object)
    display = CoefficientsDisplay(changes, names, np.arange(50), most=3).plot()
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["c3", "c8", "c11"]
    assert display.ax_.get_title().startswith("The 3 of 20 coefficients that single rows move most")
    assert set(display.frame()["coefficient"]) == {"c3", "c8", "c11"}


def test_a_coefficient_that_nothing_moves():
    display = CoefficientsDisplay(np.zeros((4, 2)), np.array(["a", "b"]), np.arange(4)).plot()
    assert not display.standardized.any()
    assert display.ax_.get_xlim() == (-1.0, 1.0)


def test_a_result_draws_all_coefficients_or_one(diabetes):
    model, _, _ = diabetes
    several = model.parameter_influence()
    assert isinstance(several.plot(), CoefficientsDisplay)
    assert len(several.plot(k=3).ax_.texts) == 33
    bars = several.plot("bmi", k=4)
    assert isinstance(bars, InfluenceDisplay)
    assert len(bars.ax_.patches) == 4
    assert isinstance(model.parameter_influence(coefficients="bmi").plot(), InfluenceDisplay)


# ---------------------------------------------------------------------------------- removal curve


def test_lines_are_means_in_a_band_of_one_standard_deviation(diabetes):
    model, X, y = diabetes
    curve = removal_curve(model, X, y, fractions=[0.1, 0.4], n_repetitions=4)
    display = curve.plot()
    assert isinstance(display, RemovalCurveDisplay)
    names = ["most helpful first", "most harmful first", "random rows (± 1 s.d. of 4)"]
    names.append("largest training loss first")
    lines = []
    for name, ranking in zip(names, ("helpful", "harmful", "random", "largest_loss"), strict=True):
        several = [c for c, r in zip(curve.losses, curve.rankings, strict=True) if r == ranking]
        for j, share in enumerate([0.0, 0.1, 0.4]):
            at = [each[j] for each in several]
            mean = sum(at) / len(at)
            deviation = np.sqrt(sum((each - mean) ** 2 for each in at) / len(at))
            lines.append([name, share, mean, deviation])
    columns = ["ranking", "share removed", "mean", "standard deviation"]
    expected = pd.DataFrame(lines, columns=columns)
    pd.testing.assert_frame_equal(display.frame(), expected, atol=1e-9)
    drawn = {line.get_label(): line.get_ydata() for line in display.ax_.lines}
    for name in names:
        np.testing.assert_allclose(drawn[name], expected["mean"][expected["ranking"] == name])
    (band,) = (c for c in display.ax_.collections if len(c.get_paths()))
    heights = band.get_paths()[0].vertices[:, 1]
    random = expected[expected["ranking"] == names[2]]
    assert heights.max() == pytest.approx((random["mean"] + random["standard deviation"]).max())
    assert display.ax_.get_ylabel() == "mean half squared error of test rows"


# -------------------------------------------------------------------------------- texts, in sight

LONG = "a label that goes on and on, as those of files, questions and departments do"


def images_display(labels):
    rng = np.random.default_rng(0)
    scores = np.array([[0.34, 0.2, 0.01, -0.5, -0.1, -0.02]] * 2)
    names = np.array([[f"{j} {labels}" for j in range(6)]] * 2, dtype=object)
    given = names[:, 0]
    pixels = rng.uniform(size=(2, 7, 8, 8))
    of_tests = {"test_labels": given, "test_targets": given, "predictions": given}
    return ImagesDisplay(pixels[:, 0], pixels[:, 1:], scores, names, targets=names, **of_tests)


def features_display(labels):
    x, y, scores = np.random.default_rng(0).standard_normal((3, 300))
    names = np.array([f"{i} {labels}" for i in range(300)], dtype=object)
    params = {"classes": np.where(x > 0, f"yes {labels}", f"no {labels}"), "title": f"T {labels}"}
    return FeaturesDisplay(x, y, scores, names, (0, 0), f"x {labels}", f"y {labels}", **params)


MADE = [images_display, features_display]
"""Displays of several axes; tests/inspection/test_displays_room.py has all on their own."""


@pytest.fixture
def out_of_sight(monkeypatch):
    """Return a function that draws a figure, and returns the texts that are partly outside of it.

    Texts that are there and never drawn, such as those of ticks beyond the limits, do not count.
    """
    drawn, draw = [], Text.draw

    def noted(self, renderer):
        if self.get_visible() and self.get_text().strip():
            drawn.append(self)
        return draw(self, renderer)

    def found(figure):
        figure.canvas.draw()
        drawn.clear()
        with monkeypatch.context() as patched:
            patched.setattr(Text, "draw", noted)
            figure.canvas.draw()
        boxes = {each.get_text(): each.get_window_extent() for each in drawn}
        whole = figure.bbox
        return [
            text
            for text, box in boxes.items()
            if min(box.x0, box.y0) < -1 or box.x1 > whole.x1 + 1 or box.y1 > whole.y1 + 1
        ]

    return found


def test_a_text_out_of_sight_is_found(out_of_sight):
    figure, ax = plt.subplots()
    ax.set_title("one line " * 30)
    assert out_of_sight(figure) == ["one line " * 30]


@pytest.mark.parametrize("labels", ["", LONG], ids=["short", "long"])
@pytest.mark.parametrize("make", MADE)
def test_every_text_is_in_sight(out_of_sight, make, labels):
    assert out_of_sight(make(labels).plot().figure_) == []


@pytest.mark.parametrize("labels", ["", LONG], ids=["short", "long"])
@pytest.mark.parametrize("make", MADE)
def test_every_text_is_in_sight_where_there_is_little_room(out_of_sight, make, labels):
    figure, ax = plt.subplots(figsize=(2.5, 5.5), layout="constrained")
    make(labels).plot(ax=ax)
    assert out_of_sight(figure) == []


@pytest.mark.parametrize("make", MADE)
def test_no_colour_of_a_light_page_on_a_dark_one(make):
    """Neutral colours are those of the style."""
    with plt.style.context("dark_background"):
        display = make("").plot()
        for text in display.figure_.findobj(Text):
            assert to_hex(text.get_color()) == "#ffffff"
