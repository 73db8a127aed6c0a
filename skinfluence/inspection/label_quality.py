"""How much speaks for each given target, and which of them look wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.displays import LabelQualityDisplay
from skinfluence.inspection.label_noise import LIKELY, SUSPECTED, ExpectedErrors
from skinfluence.inspection.result import LINES_SHOWN, Result
from skinfluence.inspection.tables import at_most, number_of, pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

HOW = {"folds": "ten folds", "out_of_bag": "out of bag"}


@dataclass(frozen=True, eq=False, repr=False)
class LabelQuality(Result):
    """How much speaks for the given target of every row, by models that never saw the row.

    What `LabelAudit.fit` finds, its ``result_``; as an array, the quality.

    Attributes
    ----------
    quality : ndarray of shape (n_train,)
        In [0, 1], lower = more suspect. Of a classifier the probability of the given label; of
        several labels a row that of the least likely; without probabilities, exp(-loss). Of a
        regressor 1 / (1 + (z / 2)^2), z its entry of `deviations`. nan for rows that no tree of a
        forest was grown without.
    losses : ndarray of shape (n_train,)
        Left out, by the model of the last pass.
    training_losses : ndarray of shape (n_train,)
        By the model of all rows.
    self_influence : ndarray of shape (n_train,)
        What a row's own loss rises by when it leaves: left out in the first pass, minus training.
    targets, suggested : ndarray of shape (n_train,) or (n_train, n_outputs)
        As given, and the likeliest by the model of the last pass that never saw the row.
    gains : ndarray of shape (n_train,)
        Loss of the given target minus that of the suggested one, by that model: of one label a row
        log p(suggested) - log p(given).
    deviations : ndarray of shape (n_train,) or None
        Of a regressor, left-out residuals in units of their noise; of several targets the largest.
    output_labels : ndarray of shape (n_outputs,) or None
        What several targets a row are called.
    row_labels : ndarray of shape (n_train,)
        Index of the training frame, or positions.
    method : str
        How rows were left out: "newton, then exact" (wherever a step may not be the minimum),
        "folds", "out_of_bag", or one of the methods of `InfluenceClassifier.leave_one_out`.
    passes : int
        Of which the last gave the numbers.
    left_aside : ndarray of int
        Positions of the suspects of the first pass, which no model of the second saw.
    expected : dict or None
        The entries of `expected_errors`; None for several labels a row, models without
        probabilities or with class weights, and regressors.
    loss : str
        Which loss, in words.
    classifier : bool
    """

    quality: Array
    losses: Array
    training_losses: Array
    self_influence: Array
    targets: Array
    suggested: Array
    gains: Array
    row_labels: Array
    method: str
    passes: int
    left_aside: Array
    deviations: Array | None = None
    output_labels: Array | None = None
    expected: Mapping[str, Any] | None = None
    loss: str = "loss"
    classifier: bool = True

    _bar: ClassVar[str | None] = "quality"

    @property
    def tiers(self) -> Array:
        """What is said of each row, shape (n_train,): "likely" wrong, "suspected", or ""."""
        other: Array = np.ones(len(self.quality), dtype=bool)
        if self.classifier:
            different = np.asarray(self.suggested != self.targets)
            other = np.any(different.reshape(len(other), -1), axis=1)
        low, lower = other & (self.quality < SUSPECTED), other & (self.quality < LIKELY)
        return np.where(lower, "likely", np.where(low, "suspected", ""))

    @property
    def flagged(self) -> Array:
        """Positions of the rows of either tier, worst first."""
        order = self._worst_first()
        return order[self.tiers[order] != ""]

    @property
    def expected_errors(self) -> ExpectedErrors | None:
        """How many targets are wrong, with an interval and how it was estimated."""
        return None if self.expected is None else ExpectedErrors(**self.expected)

    def to_frame(self, k: int | None = None, *, columns: Any = None) -> pd.DataFrame:
        """Return a line per training row, worst first.

        Parameters
        ----------
        k : int, optional
            The k worst alone.
        columns : bool or list of names, optional
            Columns of the training rows to show beside; True is all of them, the target last.

        Returns
        -------
        pandas.DataFrame
            Columns row (its label), position, given_label, suggested_label, label_quality,
            loss_left_out, loss_training, gain_if_relabelled, rank and tier, of regressors deviation
            too. Of several targets a row, "<target>: given_label" and so on.

        Raises
        ------
        ImportError
            Without pandas.
        ValueError
            For a k that is no number of rows, or a name that no column has.
        """
        return self._frame(self._worst_first()[: at_most(k)], columns)

    def suggest(self, k: int | None = None, *, columns: Any = None) -> pd.DataFrame:
        """Return the rows to look at: those of either tier, worst first.

        Parameters
        ----------
        k : int, optional
            So many at most.
        columns
            As in `to_frame`.

        Returns
        -------
        pandas.DataFrame
            As `to_frame` has it.
        """
        return self._frame(self.flagged[: at_most(k)], columns)

    def plot(self, ax: Any = None) -> LabelQualityDisplay:
        """Draw the quality of the worst rows by rank, with the tiers and how many are wrong.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        LabelQualityDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return LabelQualityDisplay.from_result(self).plot(ax=ax)

    def _array(self) -> Array:
        return self.quality

    def _which(self) -> str:
        what = "Labels" if self.classifier else "Targets"
        how = HOW.get(self.method, self.method)
        passes = f", {self.passes} passes" if self.passes > 1 else ""
        return f"{what} of {number_of(len(self.quality), 'row')} ({how}{passes})"

    def _heading(self) -> str:
        expected = self.expected_errors
        return self._which() if expected is None else f"{self._which()}: {expected}"

    def _top(self) -> Mapping[str, Sequence[Any]]:
        columns = self._columns(self._worst_first()[:LINES_SHOWN])
        shown = ["row"]
        if self.targets.ndim == 1:
            shown += ["given_label", "suggested_label"]
        shown += ["label_quality", "gain_if_relabelled", "tier"]
        return {name: plain(np.asarray(columns[name])) for name in shown}

    def _remarks(self) -> list[str]:
        n, tiers = len(self.quality), self.tiers
        counts = [int(np.sum(tiers == tier)) for tier in ("likely", "suspected")]
        remarks = [f"{counts[0]:,} likely wrong and {counts[1]:,} suspected of {n:,} rows."]
        unknown = int(np.isnan(self.quality).sum())
        if unknown:
            remarks.append(f"{unknown:,} of {n:,} rows were in every tree: nan, last.")
        expected = self.expected_errors
        if expected is not None and expected.by_chance > 0.5 * expected.flagged > 0:
            remarks.append("Most of them would be flagged if all labels were right.")
        if n > LINES_SHOWN:
            remarks.append(f"Shown are the {LINES_SHOWN} worst: to_frame() has all.")
        return [*remarks, "Nothing was changed: look at these rows before you change any."]

    def _worst_first(self) -> Array:
        return np.argsort(self.quality, kind="stable")

    def _frame(self, rows: Array, columns: Any) -> pd.DataFrame:
        frame = pandas().DataFrame(self._columns(rows))
        return self._with_own_columns(frame, rows, columns)

    def _columns(self, rows: Array) -> dict[str, Array]:
        """Return what is known of some rows, by the names of the columns of a table."""
        ranks = np.empty(len(self.quality), dtype=int)
        ranks[self._worst_first()] = np.arange(1, len(ranks) + 1)
        columns: dict[str, Array] = {"row": self.row_labels[rows], "position": rows}
        names = {"given_label": self.targets, "suggested_label": self.suggested}
        if self.targets.ndim == 1:
            columns |= {name: values[rows] for name, values in names.items()}
        else:
            assert self.output_labels is not None
            for k, label in enumerate(plain(self.output_labels)):
                columns |= {f"{label}: {name}": each[rows, k] for name, each in names.items()}
        columns |= {
            "label_quality": self.quality[rows],
            "loss_left_out": self.losses[rows],
            "loss_training": self.training_losses[rows],
            "gain_if_relabelled": self.gains[rows],
        }
        if self.deviations is not None:
            columns["deviation"] = self.deviations[rows]
        return columns | {"rank": ranks[rows], "tier": self.tiers[rows]}
