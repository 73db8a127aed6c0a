"""Adapters of kernel ridge regression and Gaussian processes, and the features of any kernel.

- KernelRidge minimises sum_i s_i r_i^2 + alpha |f|^2: with half squared errors l2 = alpha.
- GaussianProcessRegressor predicts the minimum of sum_i r_i^2 / (2 noise_i) + 1/2 |f|^2 at its
  fitted hyper-parameters, noise_i = alpha_i plus what the kernel has of white noise.

|f| is the norm of the kernel's space; in the features of `KernelFeatures` that of the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import pairwise_kernels

from skinfluence.adapters.class_weights import row_weights
from skinfluence.adapters.registry import register_adapter
from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import KernelFeatures, LinearObjective
from skinfluence.objectives.features import as_table
from skinfluence.process.memory import require_memory
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel by name or as a function of two rows, with its parameters."""

    name: Any
    params: dict[str, Any]

    def __call__(self, X: Any, Y: Any) -> Array:
        """Return the kernel of all pairs of rows, in double precision."""
        known = {} if callable(self.name) else {"filter_params": True}
        X, Y = (_in_double(one) for one in (X, Y))
        return pairwise_kernels(X, Y, metric=self.name, **known, **self.params)


def _in_double(X: Any) -> Any:
    return X.astype(np.float64) if sparse.issparse(X) else np.asarray(X, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class FunctionOfTables:
    """A kernel that is a function of two tables of rows, as support vector machines take it."""

    function: Any

    def __call__(self, X: Any, Y: Any) -> Array:
        """Return the kernel of all pairs of rows."""
        # A kernel in single precision is not positive semidefinite to double.
        X, Y = (_in_double(one) if one.dtype == np.float32 else one for one in (X, Y))
        return np.asarray(self.function(X, Y), dtype=np.float64)


@dataclass(frozen=True)
class Precomputed:
    """Rows that hold their products with every training row; pivots are positions."""

    def __call__(self, X: Any, positions: Array) -> Array:
        """Return the products with the training rows at some positions."""
        return np.asarray(X)[:, positions]


def machine_kernel(estimator: Any, X: Any) -> Any:
    """Return the kernel of a support vector machine, "scale" and "auto" as its fit read them."""
    if callable(estimator.kernel):
        return FunctionOfTables(estimator.kernel)
    if estimator.kernel == "precomputed":
        return Precomputed()
    gamma = machine_gamma(estimator, X)
    params = {"gamma": gamma, "degree": estimator.degree, "coef0": estimator.coef0}
    return Kernel(estimator.kernel, params)


def machine_gamma(estimator: Any, X: Any) -> float:
    """Return the number that gamma stands for on these training rows."""
    X = as_table(X)
    if estimator.gamma == "auto":
        return 1.0 / float(X.shape[1])
    if estimator.gamma != "scale":
        return float(estimator.gamma)
    if sparse.issparse(X):
        variance = float(X.multiply(X).mean() - X.mean() ** 2)
    else:
        variance = float(np.var(X))
    return 1.0 / (float(X.shape[1]) * variance) if variance > 0 else 1.0


def require_kernel_memory(n: int) -> None:
    """Raise MemoryError before the kernel of n rows, and its factor, do not fit."""
    require_memory(
        4.0 * n**2 * 8,
        f"The kernel of {n:,} training rows and its factor",
        "Fit on fewer rows, or a linear model on Nystroem features in a Pipeline.",
    )


def features_of_kernel(kernel: Any, X: Any) -> tuple[KernelFeatures, Array]:
    """Return the features of a kernel and those of the training rows, shape (n_train, rank)."""
    X = as_table(X)
    require_kernel_memory(X.shape[0])
    if isinstance(kernel, Precomputed):
        return KernelFeatures.of(kernel, np.arange(len(X)), X.astype(np.float64))
    K = np.ascontiguousarray(kernel(X, X), dtype=np.float64)
    return KernelFeatures.of(kernel, X, K)


def same_rows(X: Any, held: Any) -> bool:
    """Return whether two tables hold the same rows, within single precision."""
    if np.shape(X) != np.shape(held):
        return False
    off = abs(X - held).max() if sparse.issparse(X) or sparse.issparse(held) else None
    if off is not None:
        return bool(off <= 1e-6 * abs(held).max())
    return bool(np.allclose(X, held, rtol=1e-6, atol=1e-6 * float(np.abs(held).max(initial=0.0))))


def refuse_other_rows(estimator: Any, own: bool) -> None:
    """Raise ValueError unless the rows are those an estimator was fitted on, in their order."""
    if not own:
        raise ValueError(
            f"The fitted {type(estimator).__name__} keeps a coefficient for every row, and "
            "these are not the rows, or not in the order, it was fitted on. Pass those."
        )


def dual_coefficients(objective: LinearObjective) -> Array:
    """Return alpha, shape (n_samples, K), with f = sum_i alpha_i k(x_i, .) at a minimum.

    By stationarity, l2 theta = -sum_i w_i dl/deta phi_i.
    """
    penalties = objective.l2.reshape(objective.loss.n_outputs, objective.block_size)[:, 0]
    if np.any(penalties == 0):
        raise ValueError(
            "A kernel model with alpha=0 was given, whose dual coefficients its optimum does not "
            "determine; a positive penalty is accepted here. Fit with a small alpha, such as 1e-8."
        )
    return -objective.sample_weight[:, None] * objective.output_gradients() / penalties


def _write_kernel_ridge(estimator: Any, objective: LinearObjective, X: Any) -> None:
    estimator.X_fit_ = as_table(X)
    alpha = dual_coefficients(objective)
    estimator.dual_coef_ = alpha.reshape(-1, *np.shape(estimator.dual_coef_)[1:])


@register_adapter(KernelRidge, write=_write_kernel_ridge)
def kernel_ridge(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of ridge regression in the space of a kernel."""
    if estimator.kernel == "precomputed":
        kernel: Any = Precomputed()
    else:
        params: dict[str, Any] = dict(estimator.kernel_params or {})
        if not callable(estimator.kernel):
            names = ("gamma", "degree", "coef0")
            params = {name: getattr(estimator, name) for name in names}
        kernel = Kernel(estimator.kernel, params)
    refuse_other_rows(estimator, same_rows(as_table(X), as_table(estimator.X_fit_)))
    features, Phi = features_of_kernel(kernel, X)
    dual = np.reshape(estimator.dual_coef_, (len(Phi), -1))
    return LinearObjective.from_coefficients(
        Phi,
        y,
        HalfSquaredError(dual.shape[1]),
        dual.T @ Phi,
        None,
        l2=estimator.alpha,
        sample_weight=row_weights(sample_weight, len(Phi)),
    ).with_features(features)


def _check_process(estimator: Any) -> None:
    if estimator.normalize_y:
        raise ValueError(
            "GaussianProcessRegressor(normalize_y=True) was given; the mean and the scale it takes "
            "off the targets move with every row. Use normalize_y=False inside a "
            "TransformedTargetRegressor(transformer=StandardScaler()), whose scaling is frozen."
        )


def _write_process(estimator: Any, objective: LinearObjective, X: Any) -> None:
    X, y, noise = as_table(X), objective.targets, 1.0 / objective.sample_weight
    K = estimator.kernel_(X, X)
    if np.ndim(estimator.alpha):  # one for each row
        estimator.alpha = noise - (np.diagonal(estimator.kernel_(X)) - np.diagonal(K))
    K[np.diag_indices_from(K)] += noise
    estimator.X_train_, estimator.y_train_ = X, y.reshape(-1, *np.shape(estimator.y_train_)[1:])
    estimator.L_ = np.linalg.cholesky(K)
    alpha = dual_coefficients(objective)
    estimator.alpha_ = alpha.reshape(-1, *np.shape(estimator.alpha_)[1:])


@register_adapter(GaussianProcessRegressor, check=_check_process, write=_write_process)
def gaussian_process(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a Gaussian process's mean, its hyper-parameters frozen."""
    X = as_table(X)
    refuse_other_rows(estimator, same_rows(X, estimator.X_train_))
    if sample_weight is not None:
        raise TypeError(
            "sample_weight was given, but GaussianProcessRegressor.fit takes none. Fit without "
            "sample_weight, or with an alpha for each row."
        )
    require_kernel_memory(len(X))
    K = estimator.kernel_(X, X)
    # White noise is in k(X) alone: k(X, X) is of two sets of rows, which share none of it.
    noise = np.diagonal(estimator.kernel_(X)) - np.diagonal(K) + estimator.alpha
    features, Phi = KernelFeatures.of(estimator.kernel_, X, K)
    dual = np.reshape(estimator.alpha_, (len(Phi), -1))
    return LinearObjective.from_coefficients(
        Phi,
        y,
        HalfSquaredError(dual.shape[1]),
        dual.T @ Phi,
        None,
        l2=1.0,
        sample_weight=1.0 / noise,
    ).with_features(features)
