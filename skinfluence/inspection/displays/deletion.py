"""What a deletion did to the gradient of the rows that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from skinfluence.inspection.displays.base import HELPS, Display, lines_behind
from skinfluence.inspection.tables import pandas

if TYPE_CHECKING:
    import pandas as pd


class DeletionDisplay(Display):
    """The gradient of the rows that stay before and after a deletion, on a logarithmic axis.

    Parameters
    ----------
    before, after : float
        Norms of the gradient.
    method : str
        How the rows were deleted.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> from skinfluence.inspection import DeletionDisplay
    >>> display = DeletionDisplay(3.0, 1e-12, method="exact")
    >>> display.plot().ax_.get_xscale()
    'log'
    """

    figsize: ClassVar[tuple[float, float] | None] = (6.0, 2.0)

    def __init__(self, before: float, after: float, method: str) -> None:
        self.before = before
        self.after = after
        self.method = method

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Return the gradients of a certificate.

        Parameters
        ----------
        result : Certificate

        Returns
        -------
        DeletionDisplay
        """
        return cls(result.gradient_norm_before, result.gradient_norm, result.method)

    @classmethod
    def from_estimator(cls, model: Any, *, ax: Any = None) -> Self:
        """Draw what the deletion that made a model did to the gradient.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            What `without` returned.
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        DeletionDisplay
            Drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        AttributeError
            For a model from which no rows were deleted.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from skinfluence import InfluenceRegressor
        >>> from skinfluence.inspection import DeletionDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = InfluenceRegressor().fit(X, y).without([3, 7])
        >>> DeletionDisplay.from_estimator(model).frame()["when"].tolist()
        ['before', 'after']
        """
        return cls.from_result(model.certificate_).plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the norm of the gradient before and after.

        Returns
        -------
        pandas.DataFrame
            Columns when and norm of the gradient.

        Raises
        ------
        ImportError
            Without pandas.
        """
        norms = [self.before, self.after]
        return pandas().DataFrame({"when": ["before", "after"], "norm of the gradient": norms})

    def _draw(self, ax: Any) -> None:
        norms = np.array([self.before, self.after])
        smallest = np.finfo(np.float64).eps * max(self.before, 1e-300)  # where a norm is 0
        ax.plot(np.maximum(norms, smallest), ["before", "after"], "o", color=HELPS)
        ax.set_xscale("log")
        ax.margins(y=0.5)
        ax.invert_yaxis()
        ax.set_xlabel("norm of the gradient of the rows that stay (0 at their optimum)")
        ax.set_title(f"Deletion ({self.method.replace('_', ' ')})")
        lines_behind(ax, "x")
