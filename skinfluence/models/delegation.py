"""What an estimator around another predicts: what the inner one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skinfluence.typing import Array


def _inner_has(name: str) -> Callable[[Any], bool]:
    def check(self: Predicting) -> bool:
        return hasattr(self.__dict__.get("estimator_", self._inner()), name)

    return check


class Predicting:
    """An estimator whose fitted inner one, `estimator_`, predicts."""

    estimator_: Any

    def _inner(self) -> Any:
        """Return the inner estimator as it was given."""
        raise NotImplementedError

    def _check_fitted(self) -> None:
        """Raise NotFittedError before `fit`."""
        check_is_fitted(self)

    def predict(self, X: Any) -> Array:
        """Return the predictions of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        self._check_fitted()
        return self.estimator_.predict(X)


class Deciding(Predicting):
    """One whose inner estimator may have decisions and probabilities."""

    @available_if(_inner_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Return the class probabilities of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            A list of them, one for each target, of a MultiOutputClassifier.
        """
        self._check_fitted()
        return self.estimator_.predict_proba(X)

    @available_if(_inner_has("predict_log_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithms of the class probabilities of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        self._check_fitted()
        return self.estimator_.predict_log_proba(X)

    @available_if(_inner_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Array:
        """Return the decision function of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        self._check_fitted()
        return self.estimator_.decision_function(X)
