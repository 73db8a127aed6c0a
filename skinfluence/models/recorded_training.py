"""Training in epochs that keeps the model on its way, for the influence of a training path.

Knows scikit-learn only: `clone`, `partial_fit`, and the learning rates that are documented.
"""

from __future__ import annotations

import inspect
from copy import deepcopy
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import assert_all_finite, check_random_state, get_tags
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted

from skinfluence.models.delegation import Deciding
from skinfluence.typing import Array

_NAMES = ("classes_", "n_features_in_", "feature_names_in_")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model on its way.

    Attributes
    ----------
    epoch : int
        Epochs of training behind it, from 1.
    estimator : estimator
        A fitted copy.
    step : float
        How far the gradient of a row of weight 1 moved the parameters per unit, summed over the
        epochs since the checkpoint before: learning rate / batch size x epochs, to put it simply.
    """

    epoch: int
    estimator: Any
    step: float


class RecordedTraining(Deciding, MetaEstimatorMixin, BaseEstimator):
    """Train in epochs of `partial_fit` and keep the model after each, for ``method="tracin"``.

    A row with gradient g at a checkpoint k moved the parameters by about -step_k w g in the epochs
    before it, so that its steps changed a loss with gradient h by -step_k w g'h, summed over the
    checkpoints: TracIn. In front of transformers it is the last step of their Pipeline.

    Parameters
    ----------
    estimator : estimator
        MLPClassifier or MLPRegressor with ``solver="sgd"`` or ``"adam"``, SGDClassifier,
        SGDRegressor, or, with `step`, any other with `partial_fit`. Its own `max_iter` and `tol`
        are not used.
    epochs : int, default=20
        Passes over all rows.
    every : int, default=1
        Keep the model after every so many epochs, and after the last one.
    step : float, default=None
        What an epoch does with the gradient of a row: learning rate / batch size, constant over the
        epochs. None reads it from the estimator.

    Attributes
    ----------
    estimator_ : estimator
        The model after the last epoch.
    checkpoints_ : list of Checkpoint
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where the inner estimator has them.

    Notes
    -----
    These are not removals: what a step did counts in full, although later steps undo much of it
    once the training settles, and without the row the others would have stepped otherwise. Rankings
    compare; sizes grow with the epochs.

    The step of an epoch, n the number of rows:

    - MLP: learning rate x number of batches / n, which is learning rate / batch size where no batch
      is shorter than the others; in place of n the sum of the sample weights, if there are any.
      ``learning_rate="invscaling"`` lowers it after each epoch. ``"adaptive"`` is refused.
    - Momentum m repeats every gradient m, m^2, ... times in the updates that follow; these are
      counted, up to the last one (for many updates a factor 1 / (1 - m)).
    - ``solver="adam"``: learning_rate_init in place of the learning rate, as TracIn does. Adam
      rescales every coordinate, so that these scores have no unit of the loss.
    - SGD: the mean of the learning rate over the epoch; where it falls fast, as in the first epochs
      of "optimal", the rows that came early moved the model more than that. ``"adaptive"`` is a
      constant under `partial_fit`. For sparse rows scikit-learn moves the intercept a hundred times
      more slowly, which the scores do not follow.

    An integer `random_state` seeds the whole training. `partial_fit` by itself would start from it
    in every epoch, and shuffle alike: the same rows would share a batch each time.

    References
    ----------
    Pruthi, G., Liu, F., Kale, S. & Sundararajan, M. (2020). Estimating training data influence by
    tracing gradient descent. NeurIPS. arXiv:2002.08484.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from skinfluence.models.recorded_training import RecordedTraining
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier(8, solver="sgd", learning_rate_init=0.01, batch_size=50, momentum=0)
    >>> recorded = RecordedTraining(network, epochs=10, every=4).fit(X, y)
    >>> [(one.epoch, round(one.step, 6)) for one in recorded.checkpoints_]
    [(4, 0.0008), (8, 0.0008), (10, 0.0004)]
    """

    def __init__(
        self, estimator: Any, *, epochs: int = 20, every: int = 1, step: float | None = None
    ) -> None:
        self.estimator = estimator
        self.epochs = epochs
        self.every = every
        self.step = step

    def _inner(self) -> Any:
        return self.estimator

    def __sklearn_tags__(self) -> Any:
        tags = deepcopy(get_tags(self.estimator))
        tags.array_api_support = False
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a clone of the inner estimator, epoch after epoch.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_train, n_features)
        y : array-like of shape (n_train,) or (n_train, n_outputs)
        sample_weight : array-like of shape (n_train,), optional

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For an estimator that does not train in epochs or whose learning rate is not known,
            and for `sample_weight` where its `partial_fit` takes none.
        ValueError
            For parameters that leave the steps of the rows unknown, and whatever `partial_fit`
            raises.
        """
        _check_count("epochs", self.epochs)
        _check_count("every", self.every)
        _check_step(self.step)
        estimator = clone(self.estimator)
        _check_estimator(estimator, self.step)
        given = _given(estimator, y, sample_weight)
        seed = _seed_once(estimator)
        kept = []
        for epoch in range(1, self.epochs + 1):
            estimator.partial_fit(X, y, **given)
            if epoch % self.every == 0 or epoch == self.epochs:
                kept.append((epoch, _copy(estimator, seed)))
        n = np.asarray(y).shape[0]
        weight = float(
            n if sample_weight is None else np.sum(np.broadcast_to(np.asarray(sample_weight), n))
        )
        steps = epoch_steps(estimator, self.epochs, n, weight, self.step)
        starts = [0, *(epoch for epoch, _ in kept)]
        self.checkpoints_ = [
            Checkpoint(epoch, one, float(steps[start:epoch].sum()))
            for start, (epoch, one) in zip(starts, kept, strict=False)
        ]
        self.estimator_ = _copy(estimator, seed)
        for name in _NAMES:
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        return self

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the model after the last epoch.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return float(self.estimator_.score(X, y, sample_weight=sample_weight))


def _given(estimator: Any, y: Any, sample_weight: Any) -> dict[str, Any]:
    """Return what every call of `partial_fit` is given beside the rows."""
    given = {"classes": _labels(y)} if is_classifier(estimator) else {}
    if sample_weight is None:
        return given
    if "sample_weight" not in inspect.signature(estimator.partial_fit).parameters:
        raise TypeError(
            f"sample_weight was given, but {type(estimator).__name__}.partial_fit takes none in "
            "this version of scikit-learn. Fit without sample_weight."
        )
    return {**given, "sample_weight": sample_weight}


def _labels(y: Any) -> Array:
    if np.asarray(y).dtype.kind == "f":
        assert_all_finite(np.asarray(y), input_name="y")
    return unique_labels(y)


def _seed_once(estimator: Any) -> Any:
    """Put a generator in place of an integer seed, which `partial_fit` would start from anew."""
    seed = estimator.get_params(deep=False).get("random_state")
    if isinstance(seed, Integral):
        estimator.set_params(random_state=check_random_state(seed))
    return seed


def _copy(estimator: Any, seed: Any) -> Any:
    """Return a copy with the seed the user gave."""
    copy = deepcopy(estimator)
    return copy.set_params(random_state=seed) if isinstance(seed, Integral) else copy


# ------------------------------------------------------------------------------------------ steps


def epoch_steps(
    estimator: Any, epochs: int, n_rows: int, weight: float, step: float | None = None
) -> Array:
    """Return, for each epoch, the sum of the steps that the gradient of a row of weight 1 took.

    Parameters
    ----------
    estimator : estimator
        One that `RecordedTraining.fit` accepts.
    epochs, n_rows : int
    weight : float
        Sum of the sample weights of the rows.
    step : float, optional
        That of every epoch, for an estimator whose learning rate is not known.

    Returns
    -------
    ndarray of shape (epochs,)
    """
    if step is not None:
        return np.full(epochs, float(step))
    if isinstance(estimator, (MLPClassifier, MLPRegressor)):
        return _network_steps(estimator, epochs, n_rows, weight)
    return _row_by_row_steps(estimator, epochs, n_rows)


def _network_steps(network: Any, epochs: int, n_rows: int, weight: float) -> Array:
    # A row is in a batch of size b with probability b / n, and counts 1 / b of its gradient there:
    # 1 / n for every batch, short or not. With sample weights b and n are sums of these.
    size = min(200 if network.batch_size == "auto" else network.batch_size, n_rows)
    n_batches = -(-n_rows // size)
    rate = network.learning_rate_init / weight
    if network.solver == "adam":
        return np.full(epochs, rate * n_batches)
    # A gradient comes back m, m^2, ... in the updates that follow; Nesterov looks one ahead.
    n_updates = epochs * n_batches
    ahead = int(network.nesterovs_momentum)
    echoes = np.cumsum(float(network.momentum) ** np.arange(n_updates + ahead))
    per_epoch = echoes[ahead:][::-1].reshape(epochs, n_batches).sum(axis=1)
    if network.learning_rate == "invscaling":
        rate = rate / (np.arange(epochs) * n_rows + 1.0) ** network.power_t
    return rate * per_epoch


def _row_by_row_steps(estimator: Any, epochs: int, n_rows: int) -> Array:
    if estimator.learning_rate in ("constant", "adaptive"):
        # "adaptive" looks for epochs without progress within one call, which has a single one.
        return np.full(epochs, float(estimator.eta0))

    def rates(t: Array) -> Array:
        if estimator.learning_rate == "invscaling":
            out: Array = estimator.eta0 / t**estimator.power_t
        else:  # "optimal": Bottou's t0, for typical weights of size alpha^(-1/4)
            out = 1.0 / (estimator.alpha * (t - 1.0) + estimator.alpha**0.25)
        return out

    first = 1.0 + n_rows * np.arange(epochs)
    return np.array([np.mean(rates(start + np.arange(n_rows))) for start in first])


# ----------------------------------------------------------------------------------------- checks


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"{name}={value!r} was given; an integer >= 1 is accepted. Pass a number of epochs."
        )


def _check_step(step: Any) -> None:
    if step is None:
        return
    if isinstance(step, bool) or not isinstance(step, Real) or not 0 < float(step) < np.inf:
        raise ValueError(
            f"step={step!r} was given; a positive number or None is accepted. Pass learning rate "
            "/ batch size of the estimator."
        )


def _check_estimator(estimator: Any, step: float | None) -> None:
    """Refuse an estimator whose rows took unknown steps."""
    name = type(estimator).__name__
    if isinstance(estimator, (MLPClassifier, MLPRegressor)) and estimator.solver == "lbfgs":
        raise ValueError(
            f"{name}(solver='lbfgs') was given; it steps along all rows at once, not in epochs. "
            "Use solver='sgd' or 'adam', or methods other than 'tracin', which need no record."
        )
    if isinstance(estimator, FrozenEstimator) or not hasattr(estimator, "partial_fit"):
        raise TypeError(
            f"{name} was given, which does not train in epochs; an estimator with partial_fit is "
            "accepted. Use MLPClassifier, MLPRegressor, SGDClassifier or SGDRegressor; of a "
            "Pipeline, record the last step: make_pipeline(transformer, RecordedTraining(model))."
        )
    if getattr(estimator, "early_stopping", False):
        raise ValueError(
            f"{name}(early_stopping=True) was given, which partial_fit does not support; all rows "
            "are trained on for all epochs. Use early_stopping=False and fewer epochs."
        )
    if getattr(estimator, "average", False):
        raise ValueError(
            f"{name}(average={estimator.average!r}) was given; its coefficients are the mean of "
            "its path, not where its steps were taken. Use average=False."
        )
    if step is not None:
        return
    if type(estimator) not in (MLPClassifier, MLPRegressor, SGDClassifier, SGDRegressor):
        raise TypeError(
            f"{name} was given, whose learning rate is not known; MLPClassifier, MLPRegressor, "
            "SGDClassifier and SGDRegressor are accepted. Pass step=learning rate / batch size."
        )
    _check_rate(estimator, name)


def _check_rate(estimator: Any, name: str) -> None:
    rate = estimator.learning_rate
    if isinstance(estimator, (SGDClassifier, SGDRegressor)):
        if rate in ("pa1", "pa2"):
            raise ValueError(
                f"{name}(learning_rate={rate!r}) was given; every passive-aggressive step has a "
                "size of its own. Use 'constant', 'invscaling' or 'optimal'."
            )
    elif rate == "adaptive" and estimator.solver == "sgd":
        raise ValueError(
            f"{name}(learning_rate='adaptive') was given; it does not say when it lowers its "
            "learning rate. Use learning_rate='constant' or 'invscaling'."
        )
