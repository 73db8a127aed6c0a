"""What a report finds, on data made to have it and not to have it, by plain loops."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import LeaveOneOutCheck
from skinfluence.questions import findings

N, N_TEST = 200, 100


def regression(seed=0, n=N):
    """Return rows of three features, a target with noise, and test rows."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + N_TEST, 3))
    y = X @ np.array([1.0, -2.0, 0.5]) + rng.standard_normal(n + N_TEST)
    return X[:n].copy(), y[:n].copy(), X[n:].copy(), y[n:].copy()


def classes(seed=0, n=N):
    X, y, X_test, y_test = regression(seed, n)
    names = np.array(["no", "yes"])
    return X, names[(y > 0) * 1], X_test, names[(y_test > 0) * 1]


def find(code, model, X, y, X_test, y_test, **asked):
    report = model.fit(X, y).report(X_test, y_test, **{"check": 0, **asked})
    (found,) = [each for each in report.findings if each.code == code]
    return found


def ridge():
    return InfluenceRegressor(Ridge())


def logistic(**params):
    return InfluenceClassifier(LogisticRegression(tol=1e-8, **params))


# ------------------------------------------------------------------------------- SKI001, leverages


def hat_of_ridge(X):
    """Return the leverages, from the definition: x_i' (Z'Z + I)^-1 x_i and 1/n, centred."""
    Z = X - X.mean(axis=0)
    H = np.linalg.inv(Z.T @ Z + np.eye(X.shape[1]))
    return np.array([1.0 / len(X) + z @ H @ z for z in Z])


def test_a_row_far_out_has_a_high_leverage():
    X, y, *tests = regression()
    X[[7, 40]] = [[60.0, 0.0, 0.0], [0.0, 8.0, 0.0]]
    hat = hat_of_ridge(X)
    found = find("SKI001", ridge(), X, y, *tests)
    assert (found.state, found.severity, found.rows) == ("found", "medium", (7,))
    assert f"the largest leverage is {hat[7]:.2f}, the mean {hat.mean():.2g}" in found.text
    assert hat[7] > 0.5 > hat[40]
    first_order = find("SKI001", InfluenceRegressor(Ridge(), method="first_order"), X, y, *tests)
    assert first_order == found


def leverages_of(model):
    fitted = model._fitted
    return findings.leverages(fitted, fitted.method(None))


@pytest.mark.parametrize("method", ["newton", "first_order"])
def test_leverages_are_the_diagonal_of_the_hat_matrix(method):
    """Of Ridge H = W^1/2 Z (Z'WZ + P)^-1 Z' W^1/2, of a GLM W is weights times p (1 - p)."""
    X, y, *_ = regression(n=60)
    weights = np.random.default_rng(1).integers(1, 4, 60).astype(float)
    Z = np.column_stack([X, np.ones(60)])
    free = np.diag([1.0, 1.0, 1.0, 0.0])  # the intercept has no penalty

    def hat(curvature, penalty):
        rooted = np.sqrt(curvature)[:, None] * Z
        return np.diag(rooted @ np.linalg.inv(rooted.T @ rooted + penalty * free) @ rooted.T)

    model = InfluenceRegressor(Ridge(alpha=2.5), method=method).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(leverages_of(model), hat(weights, 2.5), rtol=1e-8)
    one = LogisticRegression(C=0.4, tol=1e-12, solver="newton-cholesky")
    model = InfluenceClassifier(one, method=method).fit(X, y > 0, sample_weight=weights)
    p = model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(leverages_of(model), hat(weights * p * (1 - p), 2.5), rtol=1e-6)


def test_a_far_row_that_is_rightly_labelled_has_no_leverage_in_a_glm():
    X, y, *tests = classes()
    X[7], y[7] = [60.0, 0.0, 0.0], "yes"
    found = find("SKI001", logistic(), X, y, *tests)
    assert 7 not in found.rows
    assert leverages_of(logistic().fit(X, y))[7] < 1e-3


@pytest.mark.parametrize("kind", ["linear", "kernel"])
def test_a_model_of_many_parameters_has_high_leverages_of_no_row_s_own(kind):
    X, y = load_digits(return_X_y=True)
    weak = LogisticRegression() if kind == "linear" else SVC(gamma=0.001)
    model = InfluenceClassifier(make_pipeline(StandardScaler(), weak))
    if kind == "kernel":  # of ten classes there are 45 machines
        X, y = X[y < 3], y[y < 3]
    n = 450 if kind == "linear" else 150
    found = find("SKI001", model, X[:n], y[:n], X[n : n + 100], y[n : n + 100])
    assert (found.state, found.severity) == ("found", "low")
    if kind == "linear":
        high = leverages_of(model)
        high = np.sum(high > max(0.5, 2 * high.mean()))
        assert high > 0.05 * n
        text = f"{high} rows of leverage above"
        assert found.text.startswith(text)
        assert f"That is {high / n:.0%} of all: the model has many parameters" in found.text


def test_a_row_somewhat_out_is_a_low_finding():
    X, y, *tests = regression()
    X[40] = [0.0, 9.0, 0.0]
    hat = hat_of_ridge(X)
    assert 0.2 < hat[40] < 0.5
    found = find("SKI001", ridge(), X, y, *tests)
    assert (found.state, found.severity, found.rows) == ("found", "low", (40,))


def test_rows_like_each_other_have_no_high_leverage():
    X, y, *tests = regression()
    found = find("SKI001", ridge(), X, y, *tests)
    assert (found.state, found.severity, found.rows) == ("not found", "", ())
    assert f"the largest leverage is {hat_of_ridge(X).max():.2f}" in found.text
    forest = InfluenceClassifier(RandomForestClassifier(5, max_depth=3, random_state=0))
    found = find("SKI001", forest, *classes())
    assert found.state == "not looked for"
    assert "linear models" in found.text


# ----------------------------------------------------------------------------------- SKI002, minima


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_stopped_early_is_not_at_its_minimum():
    data = regression()
    early = SGDRegressor(max_iter=1, learning_rate="constant", eta0=1e-4, random_state=0)
    model = InfluenceRegressor(early)
    found = find("SKI002", model, *data)
    assert (found.state, found.severity) == ("found", "high")
    assert f"{model.refinement_.relative_distance:.2g} times the sampling noise" in found.text
    network = InfluenceClassifier(MLPClassifier((3,), max_iter=30, random_state=0))
    found = find("SKI002", network, *classes())
    assert (found.state, found.severity) == ("found", "medium")
    assert "derivatives at a point where the gradient is not zero" in found.text


def test_a_tight_fit_is_at_its_minimum():
    found = find("SKI002", logistic(), *classes())
    assert (found.state, found.severity) == ("not found", "")
    hinge = InfluenceClassifier(LinearSVC(loss="hinge", C=0.1, max_iter=10**5, random_state=0))
    found = find("SKI002", hinge, *classes())
    assert found.state == "not looked for"
    assert "smoothed hinge" in found.text


# ----------------------------------------------------------------------------------- SKI003, refits


def test_scores_that_refits_do_not_bear_out():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 40))
    y = np.where(X[:, 0] + rng.standard_normal(90) > 0, "yes", "no")
    weak = LogisticRegression(C=1e4, max_iter=10**4, tol=1e-8)
    first_order = InfluenceClassifier(weak, method="first_order")
    found = find("SKI003", first_order, X[:70], y[:70], X[70:], y[70:], check=20)
    assert found.state == "found"
    assert "relative error" in found.text
    report = first_order.report(X[70:], y[70:], check=20)
    assert report.check.slope > 2
    assert found.severity == ("medium" if report.check.fit_for == "ranking" else "high")
    found = find("SKI003", ridge(), *regression(), check=20)
    assert found.state == "not found"
    assert found.text.startswith("Fit for values: relative error")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", [pytest.param(30, marks=pytest.mark.slow), 8])
def test_scores_that_are_fit_for_nothing_are_high_however_few_rows_say_so(check):
    network = MLPClassifier((4,), max_iter=1, random_state=0)
    model = InfluenceClassifier(make_pipeline(StandardScaler(), network))
    X, y, X_test, y_test = classes(n=60)
    report = model.fit(X, y).report(X_test[:9], y_test[:9], check=check)
    (found,) = [each for each in report.findings if each.code == "SKI003"]
    assert report.check.fit_for is None
    assert (found.state, found.severity) == ("found", "high")


def a_check(predicted, actual):
    n_test, n_rows = predicted.shape
    return LeaveOneOutCheck(
        predicted=predicted,
        actual=actual,
        noise=np.zeros(n_test),
        rows=np.arange(n_rows),
        row_labels=np.arange(n_rows),
        test_labels=np.arange(n_test),
        method="first_order",
        target="loss",
    )


@pytest.mark.parametrize(
    "n_rows, factor, noise, expected",
    [
        (30, 1.0, 0.01, ""),
        (8, 1.0, 0.01, ""),
        (30, 2.0, 0.01, "medium"),  # fit for ranking
        (8, 2.0, 0.01, "low"),  # too few rows to say so
        (30, 1.0, 3.0, "high"),
        (8, 1.0, 3.0, "high"),
        (30, 0.0, 0.0, "low"),  # nothing moves
    ],
)
def test_the_severity_of_a_check(n_rows, factor, noise, expected):
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal((20, n_rows))
    actual = factor * predicted + noise * rng.standard_normal((20, n_rows))
    assert findings.differs_from_refits(a_check(predicted, actual), "").severity == expected


# ----------------------------------------------------------------------------------- SKI004, labels


@pytest.mark.parametrize("spread", [3.0, 1.5])
def test_more_flipped_labels_are_never_a_lower_severity(spread):
    rng = np.random.default_rng(0)
    X = spread * rng.standard_normal((400, 3))
    right = np.where(X @ np.array([1.0, -2.0, 0.5]) > 0, "yes", "no")
    order, ranks = rng.permutation(300), []
    for n_flips in (0, 5, 15, 45, 90):
        y = right[:300].copy()
        y[order[:n_flips]] = np.where(y[order[:n_flips]] == "yes", "no", "yes")
        found = find("SKI004", logistic(), X[:300], y, X[300:], right[300:], audit=True)
        ranks.append(["", "low", "medium", "high"].index(found.severity))
    assert ranks == sorted(ranks)
    assert ranks[0] <= 1
    assert (ranks[2], ranks[4]) == (2, 3)


def test_flipped_labels_are_suspect():
    X, y, *tests = classes(n=300)
    X, clean = 3.0 * X, np.where(X @ np.array([1.0, -2.0, 0.5]) > 0, "yes", "no")
    sure = np.flatnonzero(np.abs(X @ np.array([1.0, -2.0, 0.5])) > 6)
    wrong = sure[:10]
    y = clean.copy()
    y[wrong] = np.where(clean[wrong] == "yes", "no", "yes")
    found = find("SKI004", logistic(), X, y, *tests, audit=True)
    assert (found.state, found.severity) == ("found", "medium")
    assert set(found.rows) >= set(wrong.tolist())
    assert "of 300 labels are wrong" in found.text
    half = np.random.default_rng(0).permutation(300)[:90]
    y[half] = np.where(y[half] == "yes", "no", "yes")
    found = find("SKI004", logistic(), X, y, *tests, audit=True)
    assert (found.state, found.severity) == ("found", "high")
    found = find("SKI004", logistic(), X, clean, *tests, audit=True)
    assert found.severity in ("", "low")
    found = find("SKI004", logistic(), X, y, *tests)
    assert (found.state, found.text) == ("not looked for", "audit=True looks for them.")


# ----------------------------------------------------------------------------------- SKI005, copies

AS = {
    "array": np.asarray,
    "frame": lambda X: pd.DataFrame(X, columns=list("abc")),
    "sparse": sparse.csr_array,
    "list": lambda X: X.tolist(),
}


@pytest.mark.parametrize("kind", AS)
def test_test_rows_among_the_training_rows(kind):
    X, y, X_test, y_test = regression()
    X[:, 2], X_test[:, 2] = X[:, 2].round() - 0.0, X_test[:, 2].round()
    X_test[:8], y_test[:8] = X[20:28], y[20:28]
    X_test[8], y_test[8] = X[30], y[30] + 1.0
    among = sum(
        any(np.array_equal(a, b) and s == t for b, t in zip(X, y, strict=True))
        for a, s in zip(X_test, y_test, strict=True)
    )
    assert among == 8
    found = find("SKI005", ridge(), AS[kind](X), y, AS[kind](X_test), y_test)
    assert (found.state, found.severity) == ("found", "high")
    assert "8 of 100 test rows are training rows, too, with the same target (0.0" in found.text
    assert set(found.rows) == set(range(20, 28))
    assert "1 test row with the features of training rows, and another target" in found.text
    found = find("SKI005", ridge(), AS[kind](X), y, AS[kind](X_test[5:]), y_test[5:])
    assert (found.state, found.severity) == ("found", "medium")
    found = find("SKI005", ridge(), AS[kind](X), y, AS[kind](X_test[9:]), y_test[9:])
    assert found.state == "not found"


@pytest.mark.parametrize("kind", ["array", "frame", "sparse"])
def test_copies_in_single_precision_are_copies(kind):
    X, y, X_test, y_test = regression()
    X_test[:8], y_test[:8] = X[20:28], y[20:28]
    single = AS[kind](X_test.astype(np.float32))
    for targets in (y_test, y_test.astype(np.float32)):
        found = find("SKI005", ridge(), AS[kind](X), y, single, targets)
        assert (found.state, found.severity) == ("found", "high")
        assert "8 of 100 test rows are training rows, too, with the same target" in found.text
        assert "floats are compared as float32" in found.text
    found = find("SKI005", ridge(), AS[kind](X), y, AS[kind](X_test), y_test)
    assert "compared as" not in found.text
    found = find("SKI005", ridge(), AS[kind](X), y, AS[kind](X_test[7:]), y_test[7:])
    assert found.text.startswith("1 of 93 test rows is a training row, too")


def test_copies_that_chance_makes_are_no_leak():
    """Of rows with two values each, most are copies, in the training rows as in the test rows."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, (300, 3)).astype(float)
    y = np.where(X.sum(axis=1) + rng.standard_normal(300) > 1.5, "yes", "no")
    found = find("SKI005", logistic(), X[:200], y[:200], X[200:], y[200:])
    assert found.state == "found"
    assert found.severity in ("low", "medium")
    expected = 100 * np.mean(
        [
            any(i != j and np.array_equal(X[i], X[j]) and y[i] == y[j] for j in range(200))
            for i in range(200)
        ]
    )
    assert f"({expected:.1f} by chance" in found.text


def test_influential_rows_with_copies_those_of_another_label_first():
    X, y, X_test, y_test = regression(n=60)
    influence = ridge().fit(X, y).influence(X_test, y_test, aggregate="mean")
    first, second = np.argsort(-np.abs(influence.scores))[:2]
    X, y = np.vstack([X, X[[first, second]]]), np.append(y, [y[first], y[second] - 4.0])
    found = find("SKI005", ridge(), X, y, X_test, y_test)
    assert (found.state, found.severity) == ("found", "low")  # of numbers: measured again
    assert "4 of 62 training rows have the features of another" in found.text
    assert set(found.rows) <= {first, second, 60, 61}
    assert set(found.rows[:1]) <= {second, 61}
    same = np.delete(np.arange(62), 61)
    found = find("SKI005", ridge(), X[same], y[same], X_test, y_test)
    assert (found.state, found.severity) == ("found", "low")
    assert set(found.rows) <= {first, 60}


def test_copies_of_another_class_are_worse_than_copies_of_another_number():
    X, y, X_test, y_test = classes(n=60)
    influence = logistic().fit(X, y).influence(X_test, y_test, aggregate="mean")
    first = np.argmax(np.abs(influence.scores))
    X, y = np.vstack([X, X[[first]]]), np.append(y, "no" if y[first] == "yes" else "yes")
    found = find("SKI005", logistic(), X, y, X_test, y_test)
    assert (found.state, found.severity) == ("found", "medium")


# --------------------------------------------------------------------------------- SKI006, few rows


def test_few_rows_that_carry_the_result():
    X, y, X_test, y_test = regression()
    X[[3, 9]], y[[3, 9]] = 300.0 * X[[3, 9]], [4e3, -4e3]
    found = find("SKI006", ridge(), X, y, X_test, y_test)
    scores = ridge().fit(X, y).influence_scores(X_test, y_test).mean(axis=0)
    sizes = sorted(np.abs(scores), reverse=True)
    share = (sizes[0] + sizes[1]) / sum(sizes)
    assert share > 0.6
    assert (found.state, found.severity) == ("found", "medium")
    assert found.text.startswith(f"{share:.0%} of the sum")
    assert set(found.rows) == {3, 9}


def test_scores_of_many_rows_and_what_normal_ones_would_share():
    found = find("SKI006", ridge(), *regression())
    assert found.state == "not found"
    z = np.abs(stats.norm.ppf((np.arange(10**5) + 0.5) / 10**5))
    expected = np.sort(z)[-(10**3) :].sum() / z.sum()
    assert f"normal scores would have {expected:.0%}" in found.text
    assert expected == pytest.approx(np.exp(-0.5 * stats.norm.isf(0.005) ** 2), rel=0.01)


# ---------------------------------------------------------------------------------- SKI007, classes


def test_classes_of_few_rows():
    X, y, *tests = classes()
    y = y.astype(object)
    y[:4], y[4] = "perhaps", "never"
    with pytest.warns(UserWarning, match="only ones of their class"):
        found = find("SKI007", logistic(), X, y, *tests)
    assert (found.state, found.severity) == ("found", "medium")
    assert found.text == "Class never has 1 row; class perhaps has 4 rows."
    assert found.rows == (4, 0, 1, 2, 3)
    y[4] = "perhaps"
    found = find("SKI007", logistic(), X, y, *tests)
    assert (found.state, found.severity) == ("found", "low")
    found = find("SKI007", logistic(), X, y, *tests, columns=["x0"])
    assert found.text == "A class has 5 rows."


def test_classes_of_enough_rows():
    X, y, *tests = classes()
    found = find("SKI007", logistic(), X, y, *tests)
    assert found.state == "not found"
    assert (
        found.text == f"The smallest class has {min((y == 'no').sum(), (y == 'yes').sum())} rows."
    )
    assert find("SKI007", ridge(), *regression()).state == "not looked for"


# ----------------------------------------------------------------------------------- SKI008, groups


def test_a_group_that_harms():
    X, y, X_test, y_test = regression()
    groups = np.arange(N) % 5
    y[groups == 3] += 6.0
    found = find("SKI008", ridge(), X, y, X_test, y_test, groups=groups)
    assert (found.state, found.severity, found.rows) == ("found", "medium", (3,))
    whole = Ridge().fit(X, y).predict(X_test)
    without = Ridge().fit(X[groups != 3], y[groups != 3]).predict(X_test)
    change = np.mean(0.5 * (without - y_test) ** 2 - 0.5 * (whole - y_test) ** 2)
    assert f"without the worst, 3, the mean loss falls by {-change:.2g}" in found.text


def test_one_group_harms():
    X, y, X_test, y_test = regression()
    groups = np.arange(N) % 5
    y[groups == 3] += 6.0
    found = find("SKI008", ridge(), X, y, X_test, y_test, groups=groups)
    assert found.text.startswith("1 of 5 groups harms, beyond")


def test_groups_that_harm_by_chance_alone():
    X, y, X_test, y_test = regression()
    groups = np.arange(N) % 5
    found = find("SKI008", ridge(), X, y, X_test, y_test, groups=groups)
    whole = Ridge().fit(X, y).predict(X_test)
    changes = []
    for group in range(5):
        model = Ridge().fit(X[groups != group], y[groups != group])
        changes.append(0.5 * (model.predict(X_test) - y_test) ** 2 - 0.5 * (whole - y_test) ** 2)
    means = np.mean(changes, axis=1)
    errors = np.std(changes, axis=1, ddof=1) / np.sqrt(N_TEST)
    bound = stats.norm.isf(0.05 / 5)
    assert not np.any(means < -bound * errors)
    assert found.state == "not found"
    harmful = np.sum(means < 0)
    have = "has" if harmful == 1 else "have"
    assert f"{harmful} of 5 groups {have} a score below 0, none beyond {bound:.1f}" in found.text
    assert find("SKI008", ridge(), X, y, X_test, y_test).state == "not looked for"


# ---------------------------------------------------------------------------------------- to ignore


def test_what_is_ignored_counts_no_more():
    X, y, *tests = regression()
    X[7] = [60.0, 0.0, 0.0]
    found = find("SKI001", ridge(), X, y, *tests)
    ignored = find("SKI001", ridge(), X, y, *tests, ignore="SKI001")
    assert (ignored.state, ignored.severity) == ("ignored", "")
    assert (ignored.text, ignored.rows) == (found.text, found.rows)
    assert find("SKI001", ridge(), X, y, *tests, ignore=["SKI002"]) == found
    other = find("SKI002", ridge(), X, y, *tests, ignore=["SKI001", "SKI002"])
    assert other.state == "not found"


def test_rows_are_called_by_their_labels():
    X, y, X_test, y_test = regression()
    X[7] = [60.0, 0.0, 0.0]
    frame = pd.DataFrame(X, columns=list("abc"), index=[f"client {i}" for i in range(N)])
    found = find("SKI001", ridge(), frame, y, pd.DataFrame(X_test, columns=list("abc")), y_test)
    assert found.rows == ("client 7",)


def test_steps_before_the_model_change_nothing_of_what_is_a_copy():
    X, y, X_test, y_test = classes()
    X_test[:6], y_test[:6] = X[:6], y[:6]
    model = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    found = find("SKI005", model, X, y, X_test, y_test)
    assert "6 of 100 test rows are training rows" in found.text
