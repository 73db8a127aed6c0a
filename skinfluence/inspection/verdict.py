"""What a check says of scores in one line: fit for values, for ranking, or for neither, and why."""

from __future__ import annotations

import numpy as np

from skinfluence.inspection.agreement import Agreement
from skinfluence.inspection.words import plain_number

LARGEST_ERROR = 0.1
"""Relative error up to which scores are fit for values: the slope is then between .91 and 1.11."""

LEAST_SPEARMAN = 0.8
"""Spearman correlation from which on scores are fit for ranking."""

FEWEST_ROWS = 10
"""Rows below which a check says nothing of a ranking."""

NOISE_SHARE = 0.5
"""Of the relative error: noise from which on a difference may be the judge's."""

TOO_FEW = "too few rows to judge a ranking by"
"""What a verdict says where `FEWEST_ROWS` might say more."""

_UNABLE = "fit for neither as far as this check can tell"


def verdict(
    pooled: Agreement, median: Agreement, n_rows: int, relative_noise: float
) -> tuple[str | None, str]:
    """Return what scores are fit for, "values", "ranking" or None, and the line that says so.

    A few test rows with large changes decide the pooled error, and test rows of different sizes
    make a pooled ranking; so the median test row has to agree as well.

    Parameters
    ----------
    pooled : Agreement
        Of predicted and actual changes of all test rows.
    median : Agreement
        Of the median test row, from `median_agreement`.
    n_rows : int
        Rows that were removed.
    relative_noise : float
        How far the judge is from the model that is scored before any row leaves, or from itself
        once a row came back, over the typical change.

    Returns
    -------
    fit_for : {"values", "ranking", None}
    line : str

    Examples
    --------
    >>> from skinfluence.inspection import Agreement
    >>> from skinfluence.inspection.verdict import verdict
    >>> half_as_large = Agreement(pearson=0.99, spearman=0.98, slope=2.0, relative_error=0.5)
    >>> print(verdict(half_as_large, half_as_large, n_rows=30, relative_noise=1e-9)[1])
    fit for ranking, not for values: relative error 0.5 (noise 1e-09), slope 2.00; of the median \
test row 0.5, Spearman 0.98
    """
    if not np.isfinite(pooled.relative_error):
        return None, (
            f"{_UNABLE}: no removal moves these test rows; choose some with a loss, or another "
            "target"
        )
    why = (
        f"relative error {plain_number(pooled.relative_error)} (noise "
        f"{plain_number(relative_noise, '.1g')}), slope {pooled.slope:.2f}; of the median test row "
        f"{plain_number(median.relative_error)}, Spearman {median.spearman:.2f}"
    )
    few = n_rows < FEWEST_ROWS
    if few:
        why += f", of {n_rows} row{'s' if n_rows > 1 else ''} alone"
    near = max(pooled.relative_error, median.relative_error) <= LARGEST_ERROR
    ordered = median.spearman >= LEAST_SPEARMAN
    if near and relative_noise <= LARGEST_ERROR:
        return "values", f"fit for values: {why}"
    if ordered and not few:
        doubt = "too noisy to tell values" if near else "not for values"
        return "ranking", f"fit for ranking, {doubt}: {why}"
    if relative_noise >= NOISE_SHARE * pooled.relative_error:
        return None, (
            f"{_UNABLE}: before any row leaves, judge and model differ by "
            f"{plain_number(relative_noise)} typical changes; {why}"
        )
    if few and not median.spearman < LEAST_SPEARMAN:  # or NaN, of one row
        return None, f"{_UNABLE}: {TOO_FEW}; {why}"
    return None, f"fit for neither: {why}"
