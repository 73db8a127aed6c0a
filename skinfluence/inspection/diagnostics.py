"""The classical case diagnostics of regression in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.displays import DiagnosticsDisplay
from skinfluence.inspection.result import LINES_SHOWN, Result
from skinfluence.inspection.tables import pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Diagnostics(Result):
    """Case diagnostics of every training row, for penalised models and other losses too.

    What `InfluenceRegressor.diagnostics` returns; ``np.asarray`` gives Cook's distances. With H the
    curvature of the (penalised) objective, w the row weights, l the loss and
    d = theta_without_i - theta:

    - The covariance of the parameters is scale * H^-1: the classical one where nothing is
      penalised, that of the Laplace approximation where something is. H is the *observed*
      information, which is the expected one under a canonical link (logistic, Poisson, least
      squares).
    - The residual r is Pearson's, sqrt(w) (y - mu) / sqrt(V(mu)) with V the variance function of
      the family. A loss that is no likelihood (Huber, hinges, insensitive losses, most of your own)
      has -sqrt(w) l' / sqrt(mean l''), the gradient in units of its spread. Huber's residuals are
      y - mu in that unit, not clipped, so that outliers are seen as far as they are; its
      dispersion is that of the clipped ones.
    - The hat diagonal is h = w l'' x' H^-1 x; its sum is the effective number of parameters.
    - The scale (dispersion) is 1 for log losses and Poisson, sum r^2 / (n - sum h) elsewhere, and
      everywhere with ``dispersion="pearson"``. n counts the rows of positive weight: weights are
      precisions (``var_weights`` of statsmodels, ``weights`` of R), not repetitions. Without row
      i, scale_(i) = (sum r^2 - r_i^2 / (1 - h_i)) / (n - sum h - 1).
    - Studentised residuals are r_i / sqrt(scale (1 - h_i)), internally, and
      r_i / sqrt(scale_(i) (1 - h_i)), externally, which goes by the name alone.
    - DFBETAS = d / sqrt(scale_(i) diag(H^-1)).
    - DFFITS = x_i' d / sqrt(scale_(i) x_i' H^-1 x_i), of the raw prediction (the linear predictor);
      of multinomial classes, whose common shift changes nothing, minus the mean over the classes.
    - Cook's distance = d' H d / (scale * sum h).
    - COVRATIO = (scale_(i) / scale)^(sum h) / det(I - w G_i Q_i), G_i and Q_i being l'' and
      x_i' H^-1 x_i of all outputs, 1 / (1 - h_i) for one: by how much the volume of the covariance
      grows without the row, at the parameters as they are.

    Changes are those without the row minus those with it, as `parameter_influence` has them:
    DFBETAS and DFFITS of R and statsmodels have the opposite sign.

    There is no such number, nan, where no degrees of freedom are left, where a number and its
    spread are both zero, for a row that alone determines a direction of the parameters (hat
    diagonal 1, within 1e-6; within 1e-12 where all features are penalised), and for coefficients
    that an l1 penalty keeps at 0 (their standard error and DFBETAS).

    Attributes
    ----------
    hat_diagonal, internally_studentized_residuals, studentized_residuals, dffits : ndarray
        Shape (n_train,), or (n_train, K) where there are several outputs. Without unit.
    cooks_distance, cov_ratio : ndarray of shape (n_train,)
        Without unit; over all outputs.
    dfbetas : ndarray of shape (n_train, n_params)
        Class-major, the intercept last in each block; `coefficients` names them. Without unit.
    standard_errors : ndarray of shape (n_params,)
        Roots of the diagonal of the covariance, in the units of the parameters.
    scale : ndarray of shape (K,)
        Of every output; classes of a multinomial share theirs, of sum_k (y_k - p_k)^2 / p_k over
        n (K - 1) - sum h. HuberRegressor has a second, of the scale parameter.
    guarded_rows : ndarray of int
        Positions of the rows whose change is not one Newton step: they were minimised on their own,
        as in `Influence`. Their Cook's distance is that of the minimum, not of a textbook's step.
    coefficients : ndarray of str, shape (n_params,)
        What the parameters are called, as in `ParameterInfluence`.
    row_labels : ndarray of shape (n_train,)
    method : str
        How the removals were computed.
    dispersion : str
        "family" or "pearson".

    References
    ----------
    Belsley, D. A., Kuh, E. & Welsch, R. E. (1980). Regression Diagnostics. Wiley.
    doi:10.1002/0471725153.
    Cook, R. D. (1977). Detection of influential observation in linear regression. Technometrics
    19(1). doi:10.1080/00401706.1977.10489493.
    Pregibon, D. (1981). Logistic regression diagnostics. Annals of Statistics 9(4).
    doi:10.1214/aos/1176345513.
    Huber, P. J. (1981). Robust Statistics. Wiley. doi:10.1002/0471725250.
    McCullagh, P. & Nelder, J. A. (1989). Generalized Linear Models. Chapman & Hall.
    doi:10.1201/9780203753736.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import LinearRegression
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> diagnostics = InfluenceRegressor(LinearRegression()).fit(X, y).diagnostics()
    >>> round(diagnostics.hat_diagonal.sum()), diagnostics.dfbetas.shape
    (11, (442, 11))
    """

    hat_diagonal: Array
    internally_studentized_residuals: Array
    studentized_residuals: Array
    dffits: Array
    cooks_distance: Array
    cov_ratio: Array
    dfbetas: Array
    standard_errors: Array
    scale: Array
    guarded_rows: Array
    coefficients: Array
    row_labels: Array
    method: str
    dispersion: str

    def to_frame(self, columns: Any = None, *, dfbetas: bool = False) -> pd.DataFrame:
        """Return a line per training row, largest Cook's distance first, those without one last.

        Parameters
        ----------
        columns : True, or names, optional
            Columns of the rows that are shown beside, as in `Influence.to_frame`.
        dfbetas : bool
            Whether to show those of every coefficient, under its name.

        Returns
        -------
        pandas.DataFrame
            Columns row (label), position, cooks_distance, hat_diagonal, studentized_residual,
            internally_studentized_residual, dffits, cov_ratio, largest_dfbetas, most_changed (the
            coefficient that is of) and guarded. Over several outputs the hat diagonal is the sum,
            residuals and dffits are the largest in size.

        Raises
        ------
        ImportError
            Without pandas.
        ValueError
            For a column that the rows have not.
        """
        order = self._order()
        frame = pandas().DataFrame(self._table(order))
        if dfbetas:
            names = [f"dfbetas {name}" for name in self.coefficients]
            frame = frame.join(pandas().DataFrame(self.dfbetas[order], columns=names))
        return self._with_own_columns(frame, order, columns)

    def plot(self, k: int = 5, ax: Any = None) -> DiagnosticsDisplay:
        """Draw residuals against leverages, sizes by Cook's distance, the k largest named.

        Parameters
        ----------
        k : int
        ax : matplotlib Axes, optional

        Returns
        -------
        DiagnosticsDisplay
        """
        return DiagnosticsDisplay.from_result(self, k).plot(ax=ax)

    def _array(self) -> Array:
        return self.cooks_distance

    def _order(self) -> Array:
        """Return the positions of the rows, largest Cook's distance first, nan last."""
        return np.argsort(-self.cooks_distance, kind="stable")

    def _table(self, rows: Array) -> dict[str, Any]:
        """Return the measures of some rows as the columns of a table."""
        n, largest = len(self.cooks_distance), _largest(self.dfbetas)
        names = self.coefficients[_at_largest(self.dfbetas)]
        measures = {
            "cooks_distance": self.cooks_distance,
            "hat_diagonal": self.hat_diagonal.reshape(n, -1).sum(axis=1),
            "studentized_residual": _largest(self.studentized_residuals),
            "internally_studentized_residual": _largest(self.internally_studentized_residuals),
            "dffits": _largest(self.dffits),
            "cov_ratio": self.cov_ratio,
            "largest_dfbetas": np.abs(largest),
            "most_changed": np.where(np.isnan(largest), "", names),
            "guarded": np.isin(np.arange(n), self.guarded_rows),
        }
        chosen = {name: values[rows] for name, values in measures.items()}
        return {"row": plain(self.row_labels[rows]), "position": rows, **chosen}

    _bar: ClassVar[str | None] = "cooks_distance"

    def _heading(self) -> str:
        n, p = self.dfbetas.shape
        return (
            f"Diagnostics: {n:,} training rows, {p:,} parameters (method {self.method}, "
            f"dispersion {self.dispersion})."
        )

    def _top(self) -> dict[str, Any]:
        table = self._table(self._order()[:LINES_SHOWN])
        few = ("row", "position", "hat_diagonal", "studentized_residual", "dffits", "most_changed")
        return {**{name: table[name] for name in few}, "cooks_distance": table["cooks_distance"]}

    def _remarks(self) -> list[str]:
        n = len(self.cooks_distance)
        if n <= LINES_SHOWN:
            return []
        return [f"{LINES_SHOWN} of {n:,} rows shown, largest first; to_frame() has all."]


def _largest(values: Array) -> Array:
    """Return the number of every row that is largest in size, with its sign; NaN if none is one."""
    values = values.reshape(len(values), -1)
    out: Array = values[np.arange(len(values)), _at_largest(values)]
    return out


def _at_largest(values: Array) -> Array:
    """Return which number of every row is largest in size, shape (n_rows,)."""
    at: Array = np.where(np.isnan(values), -1.0, np.abs(values)).argmax(axis=1)
    return at
