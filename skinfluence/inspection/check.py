"""Scores held against real retraining, with the reasons where they differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from skinfluence.inspection.agreement import Agreement, agreement
from skinfluence.process.row_names import listed
from skinfluence.typing import Array

if TYPE_CHECKING:
    from skinfluence.inspection.displays import LeaveOneOutDisplay

_OF_NETWORKS = "method='newton' takes it out, method='exact' refits"

UNFINISHED = 30.0
"""Gradient of a refit, in units of the median, from which on its row is named."""


@dataclass(frozen=True, eq=False)
class LeaveOneOutCheck:
    """Predicted against actual changes of a target when training rows are removed.

    What `InfluenceClassifier.leave_one_out_check` returns. `predicted`, `actual` and `noise` are
    in the unit of the target (for the loss: positive = the row helps); slope = sum(actual *
    predicted) / sum(predicted^2) and relative error = norm(predicted - actual) / norm(actual) have
    none. They pool all test rows; `per_test` has them for each.

    Attributes
    ----------
    predicted : ndarray of shape (n_test, n_rows)
        Scores.
    actual : ndarray of shape (n_test, n_rows)
        The judge refitted without the row minus the same judge on all rows.
    noise : ndarray of shape (n_test,)
        The judge on all rows minus the refined model: what of any difference is no effect of rows.
    rows : ndarray of int, shape (n_rows,)
        Positions in the training data.
    row_labels : ndarray of shape (n_rows,)
        Their labels in the training frame, or the positions again.
    method, target, refit : str
        How the scores were made; what was refitted, "final", "pipeline" or, without a refit,
        "proximal".
    notes : tuple of str
        Why prediction and truth may differ here.
    actual_final : ndarray of shape (n_test, n_rows) or None
        With ``refit="pipeline"``: the changes with the transformers frozen.
    judge_gradients : ndarray of shape (1 + n_rows,) or None
        For networks: norm of the gradient, measured by scikit-learn's own step, that the judge
        left on all rows and without each.
    judge_noise : ndarray of shape (n_test,) or None
        For networks: the judge refitted on all rows from where it was without the first of `rows`,
        minus the judge on all rows. Refits without a row are not better determined than this.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = InfluenceRegressor(Ridge(), method="first_order").fit(X[:400], y[:400])
    >>> check = model.leave_one_out_check(X[400:], y[400:], rows=10)
    >>> check.actual.shape, round(check.slope, 2)
    ((42, 10), 1.03)
    """

    predicted: Array
    actual: Array
    noise: Array
    rows: Array
    row_labels: Array
    method: str
    target: str
    refit: str = "final"
    notes: tuple[str, ...] = ()
    actual_final: Array | None = None
    judge_gradients: Array | None = None
    judge_noise: Array | None = None
    _pooled: Agreement = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pooled", agreement(self.predicted, self.actual))

    @property
    def pearson(self) -> float:
        """Pearson correlation over all tests and rows."""
        return self._pooled.pearson

    @property
    def spearman(self) -> float:
        """Spearman correlation over all tests and rows."""
        return self._pooled.spearman

    @property
    def slope(self) -> float:
        """Actual regressed on predicted, sum(actual * predicted) / sum(predicted^2): 1 is right."""
        return self._pooled.slope

    @property
    def relative_error(self) -> float:
        """Norm of the difference over the norm of the actual changes."""
        return self._pooled.relative_error

    @property
    def per_test(self) -> list[Agreement]:
        """The agreement of every test row by itself."""
        return [agreement(p, a) for p, a in zip(self.predicted, self.actual, strict=True)]

    @property
    def noise_floor(self) -> float:
        """Root mean square of `noise`, in the unit of the target."""
        return float(np.sqrt(np.mean(self.noise**2)))

    @property
    def relative_noise_floor(self) -> float:
        """The noise floor over the root mean square of the actual changes."""
        return self._relative(self.noise_floor)

    def _relative(self, noise: float) -> float:
        size = float(np.sqrt(np.mean(self.actual**2)))
        return noise / size if size > 0 else float("inf")

    def summary(self) -> str:
        """Return the agreement, the noise floor and the reasons for what differs, as text.

        Returns
        -------
        str
        """
        n_test, n_rows = self.predicted.shape
        errors = np.array([one.relative_error for one in self.per_test])
        moved = errors[~np.isnan(errors)]  # beyond a margin no removal may change a test loss
        each = ""
        if len(moved):
            each = f"median over test rows {np.median(moved):.2g}, largest {np.max(moved):.2g}"
        if len(moved) < len(errors):
            each += f" ({len(errors) - len(moved)} that no removal moved left out)"
        refitted = "" if self.refit == "proximal" else " and refitted"
        lines = [
            f"{n_rows} training rows removed{refitted}, {n_test} test rows "
            f"(target={self.target}, method={self.method}, refit={self.refit})",
            f"  Pearson         {self.pearson:8.4f}",
            f"  Spearman        {self.spearman:8.4f}",
            f"  slope           {self.slope:8.4f}   actual on predicted; 1 is right",
            f"  relative error  {self.relative_error:8.2g}   {each}",
            f"  typical change  {np.sqrt(np.mean(self.actual**2)):8.1e}   root mean square",
        ]
        if self.refit != "proximal":
            lines.append(
                f"  noise floor     {self.noise_floor:8.1e}   "
                f"{self.relative_noise_floor:.1e} of a typical change"
            )
        lines += self._judge_lines()
        return "\n".join(lines + [f"  - {note}" for note in (*self.notes, *self._reasons())])

    def __str__(self) -> str:
        return self.summary()

    def _judge_lines(self) -> list[str]:
        lines = []
        if self.judge_gradients is not None:
            full, most = self.judge_gradients[0], np.max(self.judge_gradients)
            lines.append(
                f"  judge gradient  {most:8.1e}   largest that a refit left; {full:.1e} on all rows"
            )
        if self.judge_noise is not None:
            noise = float(np.sqrt(np.mean(self.judge_noise**2)))
            lines.append(
                f"  judge noise     {noise:8.1e}   {self._relative(noise):.1e} of a typical "
                "change: the first row put back and refitted"
            )
        return lines

    def _reasons(self) -> list[str]:
        reasons = []
        smoothed = any(note.startswith("smoothing") for note in self.notes)
        if self.relative_noise_floor > max(0.3 * self.relative_error, 1e-3) and not smoothed:
            reasons.append(
                "noise: the network that is scored is not the minimum that the judge found next to "
                + ("it" if self.method == "exact" else "it; refine=True scores a minimum")
                if self.judge_noise is not None
                else "noise: much of the difference is how far the judge's fit and the model are "
                "apart, not an effect of rows; if the judge is tight, the adapter of the model "
                "(one you registered?) may state another objective than was minimised"
            )
        if self.judge_noise is not None:
            noise = self._relative(float(np.sqrt(np.mean(self.judge_noise**2))))
            if noise > max(0.3 * self.relative_error, 1e-3):
                reasons.append(
                    "several minima: with a row put back, the judge does not find the network it "
                    "had before; the truth is no better determined than that. A larger alpha, or "
                    "fewer hidden units, leave fewer minima"
                )
        if self.judge_gradients is not None:
            left, usual = self.judge_gradients[1:], float(np.median(self.judge_gradients))
            stray = left > UNFINISHED * usual
            if np.any(stray):
                reasons.append(
                    f"unfinished: without the rows {listed(self.row_labels[stray])} the judge "
                    f"stopped at gradients of up to {left.max():.1e}, {usual:.1e} is usual here; "
                    "their actual changes are not those of minima"
                )
        if self.actual_final is not None:
            shift = agreement(self.actual_final, self.actual)
            own = agreement(self.predicted, self.actual_final)
            reasons.append(
                f"transformers: refitting them changes the truth by {shift.relative_error:.2g} "
                "(relative); with them frozen, as scores assume, the relative error is "
                f"{own.relative_error:.2g} and the slope {own.slope:.4f}"
            )
        if self.method == "first_order" and self.slope > 1.05:
            reasons.append(
                "leverage: first order ignores that a row's own curvature leaves with it and "
                "predicts too little; "
                + ("method='newton' corrects it" if self.judge_noise is None else _OF_NETWORKS)
            )
        return reasons

    def plot(self, ax: Any = None) -> LeaveOneOutDisplay:
        """Draw predicted against actual changes with the identity line.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        LeaveOneOutDisplay
        """
        from skinfluence.inspection.displays import LeaveOneOutDisplay

        display = LeaveOneOutDisplay(
            predicted=self.predicted,
            actual=self.actual,
            target=self.target,
            method=self.method,
            noise_floor=self.noise_floor,
        )
        return display.plot(ax=ax)
