"""The wrappers a user meets: `InfluenceClassifier` and `InfluenceRegressor`. Wiring, no formula."""

from __future__ import annotations

from typing import Any

from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import get_tags

from skinfluence.adapters import final_step
from skinfluence.estimators.influence import InfluenceWrapper
from skinfluence.models.delegation import Deciding
from skinfluence.questions.fitted import Fitted


class InfluenceClassifier(ClassifierMixin, Deciding, InfluenceWrapper):
    """Tell which training rows made a classifier predict that, and what it would do without them.

    Wraps a classifier, alone or as the last step of a Pipeline. It fits and predicts as the inner
    estimator does, scores training rows on test rows, and checks the scores against retraining.

    Parameters
    ----------
    estimator : estimator, default=None
        Any estimator of the page "Models" of the documentation, or a Pipeline that ends in one:
        LogisticRegression, RidgeClassifier, SGDClassifier, LinearSVC, SVC, SmoothLinearSVC, their
        CV variants, MLPClassifier (also in a RecordedTraining), DecisionTreeClassifier,
        ExtraTreeClassifier, RandomForestClassifier, ExtraTreesClassifier, BaggingClassifier of
        trees, GradientBoostingClassifier, HistGradientBoostingClassifier, OneVsRestClassifier,
        OneVsOneClassifier, MultiOutputClassifier, and searches over them; what `register_adapter`
        was told of. None is LogisticRegression(). ``FrozenEstimator(fitted)`` is taken as it is,
        as `from_fitted` does. Hyper-parameters that a search or a CV estimator chose are frozen,
        and so are the splits of trees.
    method : {"auto", "first_order", "newton", "exact", "out_of_bag", "tracin"}, default="auto"
        How a removal is computed. "auto" is "newton" for linear models, kernels and boosted trees
        of two classes, "exact" for other trees, "first_order" for networks and models of your own;
        "exact" iterates to the minimum without each row, at a multiple of the cost, for networks
        to the one next to the minimum with it, and for trees computes all leaves again over the
        same splits. "out_of_bag" is for `leave_one_out` and `self_influence` of bagged forests,
        where it is "auto". "tracin" sums what the gradient steps of a RecordedTraining did.
    solver : {"auto", "cholesky", "lu", "cg", "lissa", "nystroem"} or solver object, default="auto"
        What inverts the curvature; ``solver_`` says what "auto" chose. The page "Solvers" of the
        documentation says which is for what; objects of `skinfluence.solvers` take parameters.
    curvature : {"auto", "hessian", "gauss_newton", "fisher"}, default="auto"
        "auto" is the Gauss-Newton matrix for networks, the Hessian otherwise; for linear models
        with a canonical loss all are one matrix.
    damping : float, default=0.0
        Added to the diagonal of the curvature, in the units of the Hessian of the summed loss;
        "exact" ignores it. Networks often need some: the error of a singular curvature names a
        number.
    refine : {"auto", True, False}, default="auto"
        Differentiate at the stationary point, reached from the fitted parameters in a copy
        ("auto": for convex and for linear models, and for "exact"); for hinges, that of the
        smoothed objective. A network is moved to the minimum next to where its training stopped.
        False scores the fitted parameters as they are: Koh & Liang's copied weights, with
        "first_order". True also accepts a frozen model that was fitted on other rows.
    temperature : float, default=None
        Width of the bend of a smoothed hinge, or of the tube of a support vector regression, in
        units of the raw prediction; None is 1 % of the median size of the raw predictions.
        The summary of `leave_one_out_check` says how far the smoothed model is from the fitted
        one. Refused for models without a hinge.
    n_jobs : int, default=None
        Threads for scoring, processes for refits. Where it is None, linear models and exact minima
        take as many threads as BLAS would. Results do not depend on it.
    verbose : int, default=0
        With 1, every question shows how far it is, at which rate, and the time left: bars where
        tqdm is installed, else lines on the standard error. With 0, one that takes more than five
        seconds says so once, with the time left and what to pass for less: on the standard error
        of a terminal or a notebook, else to the logger "skinfluence" (level INFO). No warning.

    Attributes
    ----------
    estimator_ : estimator
        The fitted inner estimator; refinement never touches it.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where the inner estimator has them.
    solver_ : str
        After the first score: the solver and why.
    numerics_ : Numerics
        After the first score: damping, conditioning, pivots, residuals and products, as far as
        they were cheap to tell.
    refinement_ : Refinement
        After the first score: distances and gradient norms before and after.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skinfluence import InfluenceClassifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8))
    >>> model = InfluenceClassifier(pipeline).fit(X[:400], y[:400])
    >>> model.influence(X[400:402], y[400:402]).helpful(k=3).shape
    (2, 3)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # ClassifierMixin puts new ones in place of those of the inner estimator.
        tags.classifier_tags = get_tags(self._inner()).classifier_tags or tags.classifier_tags
        return tags

    def _default(self) -> Any:
        return LogisticRegression()

    def _check_kind(self, estimator: Any) -> None:
        if is_regressor(estimator):
            raise TypeError(
                f"InfluenceClassifier was given {type(final_step(estimator)).__name__}, a "
                "regressor; use InfluenceRegressor."
            )


class InfluenceRegressor(RegressorMixin, InfluenceWrapper):
    """Tell which training rows made a regressor predict that, and what it would do without them.

    Wraps a regressor, alone or as the last step of a Pipeline. It fits and predicts as the inner
    estimator does, scores training rows on test rows, and checks the scores against retraining.

    Parameters
    ----------
    estimator : estimator, default=None
        Any estimator of the page "Models" of the documentation, or a Pipeline that ends in one:
        LinearRegression, Ridge, Lasso, ElasticNet, their CV variants, HuberRegressor, generalised
        linear models, SGDRegressor, LinearSVR, SVR, KernelRidge, GaussianProcessRegressor,
        MLPRegressor (also in a RecordedTraining), DecisionTreeRegressor, ExtraTreeRegressor,
        RandomForestRegressor, ExtraTreesRegressor, BaggingRegressor of trees,
        GradientBoostingRegressor, HistGradientBoostingRegressor, MultiOutputRegressor,
        TransformedTargetRegressor, and searches over them; what `register_adapter` was told of.
        None is Ridge(). ``FrozenEstimator(fitted)`` is taken as it is, as `from_fitted` does.
        Hyper-parameters that a search or a CV estimator chose, or a Gaussian process fitted, are
        frozen, and so are the splits of trees.
    method : {"auto", "first_order", "newton", "exact", "out_of_bag", "tracin"}, default="auto"
        How a removal is computed. "auto" is "newton" for linear models and kernels, where it is
        exact for Ridge and alike, and for boosted trees, where it is exact under squared error;
        "exact" for trees and forests, and "first_order" for networks and models of your own.
        "exact" iterates to the minimum without each row, at a multiple of the cost, for networks
        to the one next to the minimum with it, and for trees computes all leaves again over the
        same splits. "out_of_bag" is for `leave_one_out` and `self_influence` of bagged forests,
        where it is "auto". "tracin" sums what the gradient steps of a RecordedTraining did.
    solver : {"auto", "cholesky", "lu", "cg", "lissa", "nystroem"} or solver object, default="auto"
        What inverts the curvature; ``solver_`` says what "auto" chose. The page "Solvers" of the
        documentation says which is for what; objects of `skinfluence.solvers` take parameters.
    curvature : {"auto", "hessian", "gauss_newton", "fisher"}, default="auto"
        "auto" is the Gauss-Newton matrix for networks, the Hessian otherwise; for linear models
        with a canonical loss all are one matrix.
    damping : float, default=0.0
        Added to the diagonal of the curvature, in the units of the Hessian of the summed loss;
        "exact" ignores it. Networks often need some: the error of a singular curvature names a
        number.
    refine : {"auto", True, False}, default="auto"
        Differentiate at the stationary point, reached from the fitted parameters in a copy
        ("auto": for convex and for linear models, and for "exact"); for hinges, that of the
        smoothed objective. A network is moved to the minimum next to where its training stopped.
        False scores the fitted parameters as they are: Koh & Liang's copied weights, with
        "first_order". True also accepts a frozen model that was fitted on other rows.
    temperature : float, default=None
        Width of the bend of a smoothed hinge, or of the tube of a support vector regression, in
        units of the raw prediction; None is 1 % of the median size of the residuals.
        The summary of `leave_one_out_check` says how far the smoothed model is from the fitted
        one. Refused for models without a hinge.
    n_jobs : int, default=None
        Threads for scoring, processes for refits. Where it is None, linear models and exact minima
        take as many threads as BLAS would. Results do not depend on it.
    verbose : int, default=0
        With 1, every question shows how far it is, at which rate, and the time left: bars where
        tqdm is installed, else lines on the standard error. With 0, one that takes more than five
        seconds says so once, with the time left and what to pass for less: on the standard error
        of a terminal or a notebook, else to the logger "skinfluence" (level INFO). No warning.

    Attributes
    ----------
    estimator_ : estimator
        The fitted inner estimator; refinement never touches it.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where the inner estimator has them.
    solver_ : str
        After the first score: the solver and why.
    numerics_ : Numerics
        After the first score: damping, conditioning, pivots, residuals and products, as far as
        they were cheap to tell.
    refinement_ : Refinement
        After the first score: distances and gradient norms before and after.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = InfluenceRegressor().fit(X[:400], y[:400])
    >>> check = model.leave_one_out_check(X[400:], y[400:], rows=10)
    >>> bool(check.relative_error < 1e-8)
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # RegressorMixin puts new ones in place of those of the inner estimator.
        tags.regressor_tags = get_tags(self._inner()).regressor_tags or tags.regressor_tags
        return tags

    def _default(self) -> Any:
        return Ridge()

    def _check_kind(self, estimator: Any) -> None:
        if is_classifier(estimator):
            raise TypeError(
                f"InfluenceRegressor was given {type(final_step(estimator)).__name__}, a "
                "classifier; use InfluenceClassifier."
            )


def asked_of(model: Any) -> Fitted:
    """Return what questions are asked of a fitted wrapper; refuse whatever is none."""
    if not isinstance(model, InfluenceWrapper):
        raise TypeError(
            f"{type(model).__name__} was given; a fitted InfluenceClassifier or InfluenceRegressor "
            "is accepted. Of a fitted scikit-learn model make one with the rows it was fitted on: "
            "InfluenceClassifier.from_fitted(model, X, y)."
        )
    return model._current()


def wrapped(estimator: Any, n_jobs: int | None = None, verbose: int = 0) -> InfluenceWrapper:
    """Return an estimator in a wrapper; a clone of a wrapper, but for what is asked besides."""
    if isinstance(estimator, InfluenceWrapper):
        asked = {"n_jobs": n_jobs, "verbose": verbose or None}
        given = {name: value for name, value in asked.items() if value is not None}
        same: InfluenceWrapper = clone(estimator).set_params(**given)
        return same
    real = hasattr(estimator, "__sklearn_tags__") and is_regressor(estimator)  # None has no tags
    kind = InfluenceRegressor if real else InfluenceClassifier
    return kind(estimator, n_jobs=n_jobs, verbose=verbose)
