"""The classical case diagnostics of regression in one table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Diagnostics:
    """Case diagnostics of every training row, for penalised models too.

    What `InfluenceRegressor.diagnostics` returns. With H the curvature of the (penalised)
    objective, w the row weights, l the loss and, per output, the Pearson residual
    r = -sqrt(w) l' / sqrt(l''):

    - the covariance is scale * H^-1: the classical one where nothing is penalised, that of the
      Laplace approximation where something is;
    - hat diagonal h = w l'' x' H^-1 x; its sum is the effective number of parameters;
    - scale = sum r^2 / (n - sum h) for squared errors, 1 for the log loss; without row i,
      scale_(i) = (sum r^2 - r_i^2 / (1 - h_i)) / (n - sum h - 1);
    - studentised residual = r_i / sqrt(scale_(i) (1 - h_i));
    - DFBETAS = (theta_without_i - theta) / sqrt(scale_(i) diag(H^-1)). The sign is that of
      `parameter_influence`; R and statsmodels have the opposite one;
    - Cook's distance = d' H d / (scale * sum h), d = theta_without_i - theta.

    Where no degrees of freedom are left, or a residual and its spread are both zero, there is no
    such number: nan.

    Attributes
    ----------
    hat_diagonal, studentized_residuals : ndarray of shape (n_train,), or (n_train, K)
        Of every output where there are several. Without unit.
    cooks_distance : ndarray of shape (n_train,)
        Without unit; over all outputs.
    dfbetas : ndarray of shape (n_train, n_params)
        Class-major, the intercept last in each block. Without unit.
    standard_errors : ndarray of shape (n_params,)
        Roots of the diagonal of the covariance, in the units of the parameters.
    scale : ndarray of shape (K,)
    row_labels : ndarray of shape (n_train,)
    method : str
        How the removals were computed.

    References
    ----------
    Belsley, D. A., Kuh, E. & Welsch, R. E. (1980). Regression Diagnostics. Wiley.
    doi:10.1002/0471725153.
    Cook, R. D. (1977). Detection of influential observation in linear regression. Technometrics
    19(1). doi:10.1080/00401706.1977.10489493.
    Pregibon, D. (1981). Logistic regression diagnostics. Annals of Statistics 9(4).
    doi:10.1214/aos/1176345513.

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

    hat_diagonal: Array = field(repr=False)
    studentized_residuals: Array = field(repr=False)
    cooks_distance: Array = field(repr=False)
    dfbetas: Array = field(repr=False)
    standard_errors: Array = field(repr=False)
    scale: Array = field(repr=False)
    row_labels: Array = field(repr=False)
    method: str

    def to_frame(self) -> pd.DataFrame:
        """Return a row per training row, largest Cook's distance first.

        Returns
        -------
        pandas.DataFrame
            Columns cooks_distance, hat_diagonal, studentized_residual (the largest in size over
            several outputs; the hat diagonal is their sum) and largest_dfbetas.

        Raises
        ------
        ImportError
            Without pandas.
        """
        import pandas as pd

        n = len(self.cooks_distance)
        residuals = self.studentized_residuals.reshape(n, -1)
        largest = np.abs(residuals).argmax(axis=1)
        frame = pd.DataFrame(
            {
                "cooks_distance": self.cooks_distance,
                "hat_diagonal": self.hat_diagonal.reshape(n, -1).sum(axis=1),
                "studentized_residual": residuals[np.arange(n), largest],
                "largest_dfbetas": np.abs(self.dfbetas).max(axis=1),
            },
            index=pd.Index(self.row_labels, name="row"),
        )
        return frame.sort_values("cooks_distance", ascending=False, kind="stable")
