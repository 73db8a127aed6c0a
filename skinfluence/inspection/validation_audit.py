"""What dropping or relabelling the rows that hurt is worth on rows that did not choose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.averages import mean, with_error
from skinfluence.inspection.cross_fitting import (
    FALSE_DISCOVERIES,
    advised,
    cross_fitted_error,
    discoveries,
    errors_asked,
    p_values_of_harm,
)
from skinfluence.inspection.displays import ValidationAuditDisplay
from skinfluence.inspection.result import Result
from skinfluence.inspection.tables import at_most, number_of, pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 12
"""Numbers of rows, and rows, that a printed audit shows."""

DONE = {"drop": ("Dropping", "dropped"), "relabel": ("Relabelling", "relabelled")}


@dataclass(frozen=True, eq=False, repr=False)
class ValidationAudit(Result):
    """What the worst rows cost, on validation rows that did not choose them, and what to do.

    What `skinfluence.validation_audit` returns; as an array, ``change``.

    Attributes
    ----------
    k : ndarray of int, shape (n_sizes,)
        How many rows are dropped or relabelled.
    action : {"drop", "relabel"}
    effects : ndarray of shape (n_sizes, n_val)
        Change of the loss of every validation row, without (or with other targets of) the k rows
        that the other folds choose.
    in_sample : ndarray of shape (n_sizes,)
        Change of the mean loss of the validation rows that chose the rows themselves: it flatters.
    refitted : ndarray of shape (n_sizes, n_val) or None
        `effects` by refits, where they were asked for.
    folds : ndarray of int, shape (n_val,)
    scores, score_errors : ndarray of shape (n_train,)
        Change of the mean loss of all validation rows by each row alone, negative where the row
        harms, and its standard error.
    row_labels : ndarray of shape (n_train,)
        Index of the training frame, or positions.
    targets, new_targets : ndarray of shape (n_train,) or (n_train, n_outputs)
        As they were given, and as they would be; None for rows that are dropped.
    method, loss : str
        How changes were computed, and of which loss, in words.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skinfluence import InfluenceClassifier, validation_audit
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> y[:200:10] = 1 - y[:200:10]  # twenty wrong labels
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    >>> model = InfluenceClassifier(pipeline).fit(X[:200], y[:200])
    >>> audit = validation_audit(model, X[200:], y[200:], k=[1, 5, 10, 20])
    >>> audit.advice, audit.rows(5).tolist()
    (20, [180, 140, 20, 50, 60])
    >>> int((audit.rows() % 10 == 0).sum())
    15
    """

    k: Array
    action: str
    effects: Array
    in_sample: Array
    refitted: Array | None
    folds: Array
    scores: Array
    score_errors: Array
    row_labels: Array
    targets: Array
    new_targets: Array | None
    method: str
    loss: str = "loss"

    _bar: ClassVar[str | None] = "change"

    @property
    def _blue(self) -> int:
        return -1

    # ------------------------------------------------------------------------------------ the curve

    @property
    def change(self) -> Array:
        """Change of the mean loss on rows that did not choose, shape (n_sizes,): < 0 is better."""
        change: Array = mean(self.effects)
        return change

    @property
    def standard_error(self) -> Array:
        """Of `change`, shape (n_sizes,); see `validation_audit`."""
        return cross_fitted_error(self.effects, self._n_folds)

    @property
    def verified(self) -> Array | None:
        """`change` by refits, shape (n_sizes,); None where none were asked for."""
        return None if self.refitted is None else mean(self.refitted)

    @property
    def verified_error(self) -> Array | None:
        """Standard error of `verified`, shape (n_sizes,)."""
        return None if self.refitted is None else cross_fitted_error(self.refitted, self._n_folds)

    @property
    def advice(self) -> int:
        """How many of the worst rows to drop or relabel; 0 where nothing is shown to help.

        The number with the largest improvement among those that are shown to be one: so many
        standard errors below 0 that of all numbers on the curve, were none of them any good, one
        would be with a chance of 5 % at most (Bonferroni). By refits, where they were asked for.
        """
        return int(self.k[self._advised]) if self._advised is not None else 0

    @property
    def _advised(self) -> int | None:
        if self.verified is None or self.verified_error is None:
            return advised(self.change, self.standard_error)
        return advised(self.verified, self.verified_error)

    @property
    def _n_folds(self) -> int:
        return int(self.folds.max()) + 1

    # ------------------------------------------------------------------------------------- the rows

    def rows(self, k: int | None = None) -> Array:
        """Return the positions of the worst rows on all validation rows, the worst first.

        Parameters
        ----------
        k : int, optional
            How many; as many as are advised by default.

        Returns
        -------
        ndarray of int, shape (k,)
        """
        most = at_most(k)
        k = self.advice if most is None else most
        if k > len(self.scores):
            raise ValueError(
                f"k={k!r} was given; a number of rows from 0 to {len(self.scores)} is accepted."
            )
        return np.argsort(self.scores, kind="stable")[:k]

    @cached_property
    def p_values(self) -> Array:
        """Of each row doing no harm, one-sided, shape (n_train,), by `scores` over their errors."""
        return p_values_of_harm(self.scores, self.score_errors, len(self.folds))

    @property
    def harmful(self) -> Array:
        """Positions of the rows that are significantly harmful, the surest first.

        By Benjamini & Hochberg at .1, over all training rows: a tenth of those named may be
        harmless. `p_values` has those of all rows.
        """
        return discoveries(self.p_values)

    # -------------------------------------------------------------------------------------- to show

    def to_frame(self) -> pd.DataFrame:
        """Return a line per number of rows.

        Returns
        -------
        pandas.DataFrame
            Columns k, change, standard_error, in_sample, where refits were asked for verified and
            verified_error, and advised.

        Raises
        ------
        ImportError
            Without pandas.
        """
        advised = np.arange(len(self.k)) == (-1 if self._advised is None else self._advised)
        return pandas().DataFrame({**self._columns(), "advised": advised})

    def rows_frame(self, k: int | None = None, *, columns: Any = None) -> pd.DataFrame:
        """Return the worst rows, a line each, the worst first.

        Parameters
        ----------
        k : int, optional
            How many; all by default.
        columns : True, or names, optional
            Columns of the training rows beside.

        Returns
        -------
        pandas.DataFrame
            Columns row (label), position, score, standard_error, p_value, significant, given, and
            where rows are relabelled new. Several targets a row are given in a tuple.

        Raises
        ------
        ImportError
            Without pandas.
        ValueError
            For unknown columns, or any where the rows are not there.
        """
        rows = self.rows(len(self.scores) if k is None else k)
        frame = pandas().DataFrame(self._of_rows(rows))
        return self._with_own_columns(frame, rows, columns)

    def plot(self, ax: Any = None) -> ValidationAuditDisplay:
        """Draw the change over the number of rows, with two standard errors, and in-sample.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        ValidationAuditDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return ValidationAuditDisplay.from_result(self).plot(ax=ax)

    def _array(self) -> Array:
        return self.change

    def _heading(self) -> str:
        doing, done = DONE[self.action]
        at = self._advised
        if at is not None:
            which = "this row" if self.k[at] == 1 else f"these {self.k[at]} rows"
            return (
                f"{doing} {which} changes the mean {self.loss} by {self._change(at)} on rows that "
                f"did not choose them (in-sample, which flatters: {self.in_sample[at]:.3g})"
            )
        best = int(np.argmin(self.change))
        return (
            f"Nothing: no rows are shown to do better {done}. At best, k = {self.k[best]} changes "
            f"the mean {self.loss} by {self._change(best)} on rows that did not choose them "
            f"(in-sample, which flatters: {self.in_sample[best]:.3g})"
        )

    def _change(self, at: int) -> str:
        if self.verified is not None and self.verified_error is not None:
            return f"{with_error(self.verified[at], self.verified_error[at])} (refitted)"
        return with_error(self.change[at], self.standard_error[at])

    def _top(self) -> Mapping[str, Sequence[Any]]:
        columns = {name: plain(values[:SHOWN]) for name, values in self._columns().items()}
        marks = ["<- advised" if at == self._advised else "" for at in range(len(self.k))]
        return {**columns, " ": marks[:SHOWN]}

    def _remarks(self) -> list[str]:
        n, n_val = len(self.scores), len(self.folds)
        remarks = [
            f"{number_of(n_val, 'validation row')} in {self._n_folds} folds: rows are chosen on "
            f"all but one ({self.method}) and measured on that one; +- is one standard error.",
            f"Advised is what is {errors_asked(len(self.k)):.1f} standard errors below 0 at least.",
        ]
        if len(harmful := self.harmful):
            few = ", ".join(str(each) for each in self.row_labels[harmful[:SHOWN]])
            few += ", ..." if len(harmful) > SHOWN else ""
            remarks.append(
                f"Significantly harmful by themselves, of {number_of(n, 'row')}: {len(harmful)} "
                f"({few}; false discovery rate {FALSE_DISCOVERIES:g})."
            )
        else:
            remarks.append(f"Significantly harmful by themselves, of {number_of(n, 'row')}: none.")
        if len(self.k) > SHOWN:
            remarks.append(f"Shown are {SHOWN} of {len(self.k)} numbers: to_frame() has all.")
        return remarks

    def _columns(self) -> dict[str, Array]:
        columns = {
            "k": self.k,
            "change": self.change,
            "standard_error": self.standard_error,
            "in_sample": self.in_sample,
        }
        if self.verified is not None and self.verified_error is not None:
            columns |= {"verified": self.verified, "verified_error": self.verified_error}
        return columns

    def _of_rows(self, rows: Array) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "row": plain(self.row_labels[rows]),
            "position": rows,
            "score": self.scores[rows],
            "standard_error": self.score_errors[rows],
            "p_value": self.p_values[rows],
            "significant": np.isin(rows, self.harmful),
            "given": _each(self.targets[rows]),
        }
        if self.new_targets is not None:
            columns["new"] = _each(self.new_targets[rows])
        return columns


def _each(targets: Array) -> list[Any]:
    """Return targets a row, several as a tuple."""
    return plain(targets) if targets.ndim == 1 else [tuple(each) for each in targets.tolist()]
