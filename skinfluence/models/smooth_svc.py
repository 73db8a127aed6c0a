"""The smooth-hinge support vector machine as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import row_norms
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skinfluence.models.smooth_hinge import Minimum, Problem, minimise
from skinfluence.typing import Array


class SmoothLinearSVC(ClassifierMixin, BaseEstimator):
    """Linear support vector classifier with the smooth hinge loss.

    Minimises, for two classes coded y = -1, +1,

        ``C sum_i s_i c_i t log(1 + exp((1 - y_i (w x_i + b)) / t)) + 1/2 |w|^2``

    with sample weights s and class weights c, and adds 1/2 (b / intercept_scaling)^2 where the
    intercept is penalised. As the temperature t falls this approaches
    ``LinearSVC(loss="hinge")``, from above by at most C t log(2) sum_i s_i c_i. More classes are
    fitted one versus the rest, with the same weights of rows in every problem.

    Influence functions need two derivatives: scores of a hinge are meaningless, those of this model
    are exact for it (Koh & Liang 2017, section 5.1).

    Parameters
    ----------
    C : float, default=1.0
        Weight of the loss against the penalty.
    temperature : float, default=0.01
        Width t of the bend of the hinge, in units of the margin.
    fit_intercept : bool, default=True
    intercept_scaling : float or None, default=None
        None leaves the intercept free of penalty. A number penalises it as `LinearSVC` does, whose
        default is 1.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes; absent ones are 1. "balanced" weighs class c by S / (K S_c), where S is
        the sum of the sample weights, S_c that of the class and K the number of classes.
    tol : float, default=1e-10
        Largest accepted norm of the gradient, as a fraction of the sum of the norms of its terms,
        ``C sum_i s_i c_i |l'_i| |(x_i, 1)| + |w|``. Newton steps go on until they no longer halve
        it, so that it mostly ends at rounding (about 1e-16 / t).
    max_iter : int, default=1000
        Largest number of Newton steps, over all temperatures, of one binary problem.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
    intercept_ : ndarray of shape (1,) or (n_classes,)
    classes_ : ndarray of shape (n_classes,)
        Sorted labels of the rows whose weight is not zero.
    n_iter_ : ndarray of shape (1,) or (n_classes,)
        Newton steps of each binary problem.
    gradient_norm_ : ndarray of shape (1,) or (n_classes,)
        What is left of the gradient, in the units of `tol`.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where `X` had names that are strings.

    References
    ----------
    Koh, P. W. and Liang, P. (2017). Understanding black-box predictions via influence functions.
    ICML. arXiv:1703.04730.

    Chapelle, O. (2007). Training a support vector machine in the primal. Neural Computation 19,
    1155-1178. doi:10.1162/neco.2007.19.5.1155.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skinfluence.models.smooth_svc import SmoothLinearSVC
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SmoothLinearSVC(temperature=0.001).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    >>> bool(model.gradient_norm_.max() < 1e-10)
    True
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        temperature: float = 0.01,
        fit_intercept: bool = True,
        intercept_scaling: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-10,
        max_iter: int = 1000,
    ) -> None:
        self.C = C
        self.temperature = temperature
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Sparse ones are never made dense.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            A row of weight 0 is absent, a row of weight 2 is there twice.

        Returns
        -------
        self : SmoothLinearSVC

        Raises
        ------
        ValueError
            If a parameter or weight is not accepted, or fewer than two classes are left.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` or rounding stops the steps before `tol`.
        """
        self._check_parameters()
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, order="C")
        check_classification_targets(y)
        weight = _checked_weights(sample_weight, len(y))
        if not np.all(weight):
            counted = np.flatnonzero(weight)
            X, y, weight = X[counted], y[counted], weight[counted]
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"Rows of only one class were given, {self.classes_.tolist()}, leaving out those "
                "of weight 0; at least 2 classes are accepted. Add rows of another class."
            )
        weight = self.C * weight * self._class_weights(codes, weight)[codes]
        minima = [self._minimum(X, codes == k, weight) for k in self._positive()]
        theta = np.array([minimum.theta for minimum in minima])
        self.coef_, self.intercept_ = theta[:, :-1].copy(), theta[:, -1].copy()
        self.n_iter_ = np.array([minimum.n_iter for minimum in minima])
        self.gradient_norm_ = np.array([minimum.gradient_norm for minimum in minima])
        self._warn_unless_converged()
        return self

    def decision_function(self, X: Any) -> Array:
        """Return raw predictions, w x + b.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes, positive where ``classes_[1]`` is predicted.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        out: Array = X @ self.coef_.T + self.intercept_
        return out[:, 0] if len(self.classes_) == 2 else out

    def predict(self, X: Any) -> Array:
        """Return the class of the largest raw prediction.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        scores = self.decision_function(X)
        codes = (scores > 0).astype(int) if scores.ndim == 1 else np.argmax(scores, axis=1)
        return self.classes_[codes]

    def __sklearn_tags__(self) -> Any:
        """Add that sparse X is accepted."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _positive(self) -> range:
        """Return the codes of the classes that get a problem of their own."""
        return range(1, 2) if len(self.classes_) == 2 else range(len(self.classes_))

    def _check_parameters(self) -> None:
        for name in ("C", "temperature", "tol"):
            _check_positive(name, getattr(self, name))
        if self.intercept_scaling is not None:
            _check_positive("intercept_scaling", self.intercept_scaling, "None (no penalty) or ")
        if not isinstance(self.max_iter, (int, np.integer)) or self.max_iter < 1:
            raise ValueError(
                f"max_iter={self.max_iter!r} was given; a whole number of at least 1 is accepted. "
                "The default is 1000."
            )
        balanced = isinstance(self.class_weight, str) and self.class_weight == "balanced"
        if not (self.class_weight is None or balanced or isinstance(self.class_weight, Mapping)):
            raise ValueError(
                f"class_weight={self.class_weight!r} was given; None, 'balanced' or a dict from "
                "labels to weights is accepted. For a weight per row pass sample_weight to fit."
            )

    def _class_weights(self, codes: Array, weight: Array) -> Array:
        """Return the weight of every class; all rows of `weight` count."""
        if self.class_weight is None:
            return np.ones(len(self.classes_))
        if isinstance(self.class_weight, str):
            mass = np.bincount(codes, weights=weight)
            return mass.sum() / (len(mass) * mass)
        labels = self.classes_.tolist()
        for label, value in self.class_weight.items():
            if label not in labels:
                raise ValueError(
                    f"class_weight has the label {label!r}; the labels of the rows are {labels}. "
                    "Leave it out of the dict."
                )
            _check_positive(f"class_weight[{label!r}]", value)
        return np.array([float(self.class_weight.get(label, 1.0)) for label in labels])

    def _minimum(self, X: Any, positive: Array, weight: Array) -> Minimum:
        scaling = self.intercept_scaling if self.fit_intercept else None
        problem = Problem(
            X=X,
            y=np.where(positive, 1.0, -1.0),
            weight=weight,
            norms=np.sqrt(row_norms(X, squared=True) + float(bool(self.fit_intercept))),
            fit_intercept=bool(self.fit_intercept),
            ridge=0.0 if scaling is None else 1.0 / scaling**2,
            temperature=self.temperature,
        )
        return minimise(problem, tol=self.tol, max_iter=self.max_iter)

    def _warn_unless_converged(self) -> None:
        worst = int(np.argmax(self.gradient_norm_))
        if self.gradient_norm_[worst] <= self.tol:
            return
        label = self.classes_.tolist()[self._positive()[worst]]
        advice = "Scale the features (StandardScaler), raise temperature or tol, or lower C."
        if self.n_iter_[worst] >= self.max_iter:
            advice = f"Raise max_iter={self.max_iter}. {advice}"
        warnings.warn(
            f"The relative gradient {self.gradient_norm_[worst]:.2g} was reached after "
            f"{self.n_iter_[worst]} Newton steps (class {label!r} against the rest); "
            f"tol={self.tol:g} is accepted. {advice}",
            ConvergenceWarning,
            stacklevel=3,
        )


def _check_positive(name: str, value: Any, otherwise: str = "") -> None:
    """Raise ValueError unless `value` is a finite number above 0."""
    if not _is_number(value) or not 0 < value < np.inf:
        raise ValueError(
            f"{name}={value!r} was given; {otherwise}a finite number above 0 is accepted. "
            "Pass one, or leave it out for the default."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _checked_weights(sample_weight: Any, n_samples: int) -> Array:
    """Return the sample weights as an array, ones if there are none."""
    if sample_weight is None:
        return np.ones(n_samples)
    weight: Array = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight of shape {weight.shape} was given; one weight per row, shape "
            f"({n_samples},), is accepted. Pass None to weigh all rows alike."
        )
    if not np.all(np.isfinite(weight)) or np.any(weight < 0) or not np.any(weight):
        raise ValueError(
            "A sample_weight with negative, infinite or NaN values, or of zeros alone, was given; "
            "finite weights of at least 0, some above it, are accepted. A row of weight 0 is "
            "absent: give it to rows that shall not count."
        )
    return weight
