"""Trees where little is left: one row, other rows for copies, losses that say nothing."""

import numpy as np
import pytest
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skinfluence import InfluenceClassifier, InfluenceRegressor, leave_one_out_curve
from tests.plain_trees import refit

RNG = np.random.default_rng(0)
N = 60
X = RNG.standard_normal((N, 3))
Y = X[:, 0] + 0.3 * RNG.standard_normal(N)
LABELS = np.repeat([0, 1], [45, 15])

COPIED = [
    DecisionTreeRegressor(min_samples_leaf=3),
    RandomForestRegressor(5, random_state=0),
    GradientBoostingRegressor(n_estimators=5),
    HistGradientBoostingRegressor(max_iter=5),
]
copied = pytest.mark.parametrize("estimator", COPIED, ids=lambda one: type(one).__name__)


@pytest.mark.parametrize(
    "estimator, n, weights",
    [
        (GradientBoostingRegressor(n_estimators=3, subsample=0.04, random_state=0), 30, None),
        (GradientBoostingRegressor(n_estimators=3), 30, np.r_[1.0, np.zeros(29)]),
        (HistGradientBoostingRegressor(max_iter=3), 1, None),
        (RandomForestRegressor(3, random_state=0), 2, None),
        (BaggingRegressor(n_estimators=5, max_samples=1, random_state=0), N, None),
        (DecisionTreeRegressor(), 1, None),
    ],
    ids=["subsample", "weights", "histograms", "forest", "bagging", "tree"],
)
def test_a_tree_of_one_row_predicts_nothing_without_it(estimator, n, weights):
    model = InfluenceRegressor(estimator).fit(X[:n], Y[:n], weights)
    questions = [
        lambda: model.influence_scores(X[:2], Y[:2]),
        lambda: model.leave_one_out(method="exact"),
        lambda: model.self_influence(method="exact"),
        lambda: model.parameter_influence(),
        lambda: model.leave_one_out_check(X[:2], Y[:2], rows=1),
    ]
    for ask in questions:
        with pytest.raises(ValueError, match="was fitted on one row alone, and predicts nothing"):
            ask()


@copied
def test_a_copy_takes_the_rows_that_were_left_with_their_weights(estimator):
    weights = RNG.uniform(0.5, 2.0, N)
    if isinstance(estimator, RandomForestRegressor):
        weights = np.ones(N)  # or they decide what is drawn
    copy = InfluenceRegressor(estimator).fit(X, Y, weights).without([0]).estimator_
    wrap = InfluenceRegressor.from_fitted
    same = wrap(copy, X[1:], Y[1:], sample_weight=weights[1:])
    assert same.influence_scores(X[:2], Y[:2]).shape == (2, N - 1)
    with pytest.raises(ValueError, match=rf"{N} rows were given .* the {N - 1} that were left"):
        wrap(copy, X, Y).influence_scores(X[:2], Y[:2])
    others = weights[1:].copy()
    others[0] *= 50.0
    with pytest.raises(ValueError, match=r"Other sample weights or labels .* rows were deleted"):
        wrap(copy, X[1:], Y[1:], sample_weight=others).influence_scores(X[:2], Y[:2])


def test_class_weights_of_a_copy_are_those_of_its_fit():
    tree = DecisionTreeClassifier(min_samples_leaf=3, class_weight={0: 1, 1: 5})
    copy = InfluenceClassifier(tree).fit(X, LABELS).without([0]).estimator_
    model = InfluenceClassifier.from_fitted(copy, X[1:], LABELS[1:])
    assert model.influence_scores(X[:2], LABELS[:2]).shape == (2, N - 1)


def test_a_copy_that_grew_further_is_looked_at_anew():
    forest = RandomForestRegressor(5, random_state=0, warm_start=True)
    copy = InfluenceRegressor(forest).fit(X, Y).without([0]).estimator_
    copy.set_params(n_estimators=8).fit(X[1:], Y[1:])
    with pytest.raises(ValueError, match="leaf values of RandomForestRegressor"):
        InfluenceRegressor.from_fitted(copy, X[1:], Y[1:]).influence_scores(X[:2], Y[:2])


def test_bagging_that_forgot_its_draws_is_refused():
    bagging = BaggingRegressor(n_estimators=3, random_state=0, warm_start=True).fit(X, Y)
    bagging.set_params(n_estimators=6).fit(X, Y)
    with pytest.raises(ValueError, match="knows the draws of its last trees alone"):
        InfluenceRegressor.from_fitted(bagging, X, Y).influence_scores(X[:2], Y[:2])


@pytest.mark.parametrize("estimator", [COPIED[0], COPIED[1], COPIED[2]], ids=["t", "f", "g"])
def test_targets_that_are_one_number_without_some_rows(estimator):
    y = np.r_[np.full(N - 2, 0.1), 1.0, 2.0]
    smaller = InfluenceRegressor(estimator).fit(X, y).without([N - 2, N - 1])
    np.testing.assert_allclose(smaller.predict(X), 0.1, rtol=1e-12)


def test_leaves_that_vanish_are_off_before():
    model = InfluenceRegressor(DecisionTreeRegressor(random_state=0)).fit(X, Y)
    certificate = model.without(np.arange(10)).certificate_
    assert certificate.gradient_norm < 1e-12
    before = refit(model.estimator_, X, Y, removed=list(range(10)))(X)[:, 0] - model.predict(X)
    moved = np.flatnonzero(np.abs(before) > 1e-12)
    assert 0 < len(moved) <= 10  # each row had a leaf of its own
    assert certificate.gradient_norm_before == pytest.approx(np.linalg.norm(before), rel=0.5)


@pytest.mark.parametrize(
    "forest",
    [
        RandomForestClassifier(5, random_state=0, class_weight="balanced_subsample"),
        BaggingClassifier(DecisionTreeClassifier(class_weight={0: 1, 1: 10}), random_state=0),
    ],
    ids=["forest", "bagging"],
)
def test_trees_that_weigh_classes_by_themselves_take_no_other_labels(forest):
    model = InfluenceClassifier(forest).fit(X, LABELS)
    assert model.influence_scores(X[:2], LABELS[:2]).shape == (2, N)
    for ask in (
        lambda: model.relabel_influence(1 - LABELS, X[:2], LABELS[:2]),
        lambda: model.addition_influence(X[:1], [1], X[:2], LABELS[:2]),
    ):
        with pytest.raises(ValueError, match="weigh classes each by itself"):
            ask()


def test_a_class_of_weight_zero_starts_where_scikit_learn_starts():
    labels = np.digitize(X[:, 0], [-0.5, 0.5])
    boosting = HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=2)
    model = InfluenceClassifier(boosting).fit(X, labels, (labels != 2) * 1.0)
    assert np.all(np.isfinite(model.influence_scores(X[:2], labels[:2])))


@pytest.mark.parametrize("seed", range(6))
def test_histograms_of_their_own_rows_are_accepted(seed):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((60, 4))
    labels = (features[:, 0] + rng.standard_normal(60) > 0).astype(int)
    boosting = HistGradientBoostingClassifier(max_iter=40, learning_rate=0.7, min_samples_leaf=1)
    model = InfluenceClassifier(boosting).fit(features, labels)
    assert np.all(np.isfinite(model.influence_scores(features[:2], labels[:2])))
    labels[7] = 1 - labels[7]
    with pytest.raises(ValueError, match="do not look like the rows"):
        wrong = InfluenceClassifier.from_fitted(model.estimator_, features, labels)
        wrong.influence_scores(features[:2], labels[:2])


LEFT_OUT = [
    DecisionTreeRegressor(random_state=0),
    ExtraTreesRegressor(5, random_state=0),
    GradientBoostingRegressor(n_estimators=5),
]


@pytest.mark.parametrize("estimator", LEFT_OUT, ids=lambda one: type(one).__name__)
def test_left_out_losses_over_splits_that_saw_the_rows_choose_nothing(estimator):
    """On noise a deep tree seems good, so that nothing is compared by it."""
    noise = RNG.standard_normal(N)
    left_out = InfluenceRegressor(estimator).fit(X, noise).leave_one_out()
    assert "saw every row" in left_out.assumed and "saw every row" in repr(left_out)
    bagged = InfluenceRegressor(RandomForestRegressor(20, random_state=0)).fit(X, noise)
    for one, other in ((left_out, bagged.leave_one_out()), (bagged.leave_one_out(), left_out)):
        with pytest.raises(ValueError, match="say nothing of how good it is"):
            one.compare(other)
    with pytest.raises(ValueError, match="the deepest trees would win"):
        leave_one_out_curve(estimator, X, noise, "max_depth", [1, 2])
    assert bagged.leave_one_out().assumed == ""


def test_results_say_what_they_take_as_given():
    model = InfluenceRegressor(COPIED[2]).fit(X, Y)
    for answer in (
        model.influence(X[:2], Y[:2]),
        model.group_influence(np.arange(N) % 3, X[:2], Y[:2]),
        model.relabel_influence(-Y, X[:2], Y[:2]),
        model.parameter_influence(),
        model.self_influence(),
    ):
        assert "ver the same splits" in answer.assumed and answer.assumed in repr(answer)
    answer = model.influence(X[:2], Y[:2], method="first_order")
    assert "the only row of a leaf has no effect" in repr(answer)
    check = model.leave_one_out_check(X[:2], Y[:2], rows=5)
    assert check.verdict.startswith("fit for values over the same splits: ")


def test_newton_is_exact_about_everything_but_rows_that_leave():
    boosting = GradientBoostingClassifier(n_estimators=5)
    model = InfluenceClassifier(boosting, method="newton").fit(X, LABELS)
    asked = X[:4], LABELS[:4]
    assert model.influence(*asked).method == "newton"
    for answer in (
        model.group_influence(np.arange(N) % 3, *asked),
        model.addition_influence(X[:1], [1], *asked),
        model.relabel_influence(1 - LABELS, *asked),
    ):
        assert answer.method == "exact"
