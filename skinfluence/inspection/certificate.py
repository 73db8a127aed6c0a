"""What a deletion without retraining leaves undone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Certificate:
    """How close a model with rows deleted is to the optimum of the rows that stay.

    What `without` leaves on its result as ``certificate_``. Both norms are Euclidean, of the
    gradient of the summed objective of the remaining rows, computed anew from the parameters that
    were written. Parameters kept in single precision leave a gradient of that size.

    SVC and SVR keep what they predict with where only their own fit may write it. scikit-learn fits
    them anew, by whatever method the rows were asked to leave. The norms, of the hinge smoothed at
    the wrapper's temperature, then say how far the machine is from the smooth one.

    Attributes
    ----------
    method : str
        "first_order", "newton" or "exact", as asked.
    n_removed : int
        Rows this deletion took away.
    gradient_norm : float
        At the parameters of the result: zero at the optimum.
    gradient_norm_before : float
        At the (refined) parameters of the model the rows were deleted from: what the deletion had
        to undo.
    refitted : bool, default=False
        Whether scikit-learn's own estimator was fitted anew on the rows that stay.
    """

    method: str
    n_removed: int
    gradient_norm: float
    gradient_norm_before: float
    refitted: bool = False
