"""What a deletion without retraining took away, and what it leaves undone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from skinfluence.inspection.displays import DeletionDisplay
from skinfluence.inspection.result import Result
from skinfluence.inspection.tables import number_of, pandas
from skinfluence.process.row_names import listed
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

SHORT_OF_THE_OPTIMUM = 0.1
"""Distance from which on a certificate says that the model was moved to its optimum first."""

_FEW = 10
"""Rows that the short form names."""


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Result):
    """Which rows were deleted from a model, how close it is to one without them, what has them yet.

    What `without` leaves on its result as ``certificate_``; ``print(certificate_.summary())`` is
    the whole of it in sentences. After several deletions, one from the result of the other, the
    last certificate accounts for all rows gone since `fit`. ``np.asarray`` of it is the gradient
    norm.

    Both norms are Euclidean, of the gradient of the summed objective of the rows that stay,
    computed anew from the parameters that were written, and so over all deletions. Parameters kept
    in single precision leave a gradient of that size.

    SVC and SVR keep what they predict with where only their own fit may write it. scikit-learn fits
    them anew, by whatever method the rows were asked to leave. The norms, of the hinge smoothed at
    the wrapper's temperature, then say how far the machine is from the smooth one.

    Trees keep their splits, and have their leaves computed again. The norms are those of the
    difference between the values of the leaves and what the rows that stay give.

    Attributes
    ----------
    model : str
        The type of the final step.
    method : str
        "first_order", "newton" or "exact", as asked.
    transformers : {"frozen", "refit"}
        Whether what is around the final step was fitted anew.
    n_removed : int
        Rows this deletion took away.
    n_left : int
        Rows that stay.
    gradient_norm : float
        At the parameters of the result: zero at the optimum.
    gradient_norm_before : float
        At the (refined) parameters of the model the rows were deleted from: what the deletion had
        to undo. With ``transformers="refit"``, which leaves nothing to compare with, where
        scikit-learn's own fit without the rows stopped.
    refitted : bool
        Whether scikit-learn's own estimator was fitted anew on the rows that stay.
    distance : float
        How far the fit was from its own optimum before the rows left, in units of the sampling
        noise. A model that stopped short of it is moved there as well.
    rows : ndarray of shape (n_gone,)
        Positions, in the data given to `fit`, of all rows gone since then, in the order in which
        they left: the last `n_removed` are those of this deletion.
    row_labels : ndarray of shape (n_gone,)
        Their labels, or positions where they had none.
    deletions : ndarray of shape (n_gone,)
        The number of the deletion that took each row; 1 is the first.
    dates : tuple of str
        When each deletion was done: ISO 8601, UTC.
    fitted_anew : int
        Number of the last deletion with ``transformers="refit"``; 0 where there was none.
    in_transformers : tuple of str
        Fitted transformers and samplers that have seen rows which left since `fitted_anew`.
    in_choices : tuple of str
        Hyper-parameters, and splits of trees, that were chosen with all rows, and kept.
    in_records : tuple of str
        Attributes of the final step, and of searches, that are as the fit on all rows left them.
    versions : dict of str
        Of skinfluence, scikit-learn and numpy.
    same_splits : bool
        The model is one of trees.
    """

    model: str
    method: str
    transformers: str
    n_removed: int
    n_left: int
    gradient_norm: float
    gradient_norm_before: float
    refitted: bool
    distance: float
    rows: Array
    row_labels: Array
    deletions: Array
    dates: tuple[str, ...]
    fitted_anew: int
    in_transformers: tuple[str, ...]
    in_choices: tuple[str, ...]
    in_records: tuple[str, ...]
    versions: dict[str, str]
    same_splits: bool = False

    @property
    def n_in_transformers(self) -> int:
        """Rows that left since transformers were fitted."""
        return int(np.sum(self.deletions > self.fitted_anew))

    def following(self, previous: Certificate) -> Certificate:
        """Return this certificate with the rows of the deletions before it.

        Parameters
        ----------
        previous : Certificate

        Returns
        -------
        Certificate
        """
        number = len(previous.dates) + 1
        return replace(
            self,
            rows=np.append(previous.rows, self.rows),
            row_labels=np.append(previous.row_labels, self.row_labels),
            deletions=np.append(previous.deletions, np.full(self.n_removed, number)),
            dates=(*previous.dates, *self.dates),
            fitted_anew=number if self.fitted_anew else previous.fitted_anew,
            in_choices=tuple(dict.fromkeys([*previous.in_choices, *self.in_choices])),
        )

    def summary(self) -> str:
        """Return the certificate in sentences, for whoever has to be told.

        Returns
        -------
        str
            All removed rows by label, how the parameters were changed and what gradient remains,
            what still contains the rows, when, and by which versions.
        """
        software = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        parts = [
            f"Deletion of training rows from {self.model}",
            _paragraph(f"Done on {_day(self.dates[-1])} with {software}."),
            _paragraph(f"{self._counted()} {self.n_left} stay."),
            *map(self._rows_of, range(len(self.dates), 0, -1)),
            _paragraph(self._how()),
            *self._contained(),
            *self._fingerprints(),
            _paragraph(
                "This is about the model that was returned. The one the rows were deleted from, "
                "earlier copies and the data itself still have them."
            ),
        ]
        return "\n\n".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Return all rows gone since `fit`, one a line, in the order in which they left.

        Returns
        -------
        pandas.DataFrame
            Columns row (the label), position (in the data given to `fit`), deletion (its number)
            and date.

        Raises
        ------
        ImportError
            Without pandas.
        """
        return pandas().DataFrame(
            {
                "row": self.row_labels,
                "position": self.rows,
                "deletion": self.deletions,
                "date": [self.dates[k - 1] for k in self.deletions],
            }
        )

    def plot(self, ax: Any = None) -> DeletionDisplay:
        """Draw the gradient before and after, on a logarithmic axis.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        DeletionDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return DeletionDisplay.from_result(self).plot(ax=ax)

    # ---------------------------------------------------------------------------- in words

    def _array(self) -> Array:
        return np.asarray(self.gradient_norm)

    def _heading(self) -> str:
        return f"Deletion from {self.model}: {self._counted()} {self.n_left} stay."

    def _top(self) -> dict[str, Sequence[Any]]:
        last = slice(len(self.rows) - self.n_removed, None)
        return {
            "row": list(self.row_labels[last][:_FEW]),
            "position": list(self.rows[last][:_FEW]),
        }

    def _remarks(self) -> list[str]:
        found = {
            "transformers": self.in_transformers,
            "choices": self.in_choices,
            "records of the fit": self.in_records,
        }
        named = [f"{name} ({len(one)})" for name, one in found.items() if one]
        return [
            self._how(),
            f"Still with the rows: {', '.join(named) or 'nothing that is known of'}.",
            "summary() names all rows, and what still contains them.",
        ]

    def _counted(self) -> str:
        before = len(self.rows) - self.n_removed
        if not before:
            return f"{number_of(self.n_removed, 'row')} removed."
        return (
            f"{number_of(self.n_removed, 'row')} removed, by deletion {len(self.dates)}; "
            f"{len(self.rows)} in all since the fit."
        )

    def _rows_of(self, number: int) -> str:
        names = listed(self.row_labels[self.deletions == number].tolist())[1:-1]
        when = f" by deletion {number}, {_day(self.dates[number - 1])}"
        when = when if len(self.dates) > 1 else ""
        return _paragraph(f"Removed{when}: {names}.", indent="  ")

    def _how(self) -> str:
        left, before = f"{self.gradient_norm:.2g}", f"{self.gradient_norm_before:.2g}"
        if self.refitted:
            what = "everything" if self.transformers == "refit" else self.model
            return (
                f"scikit-learn fitted {what} anew on the rows that stay. The gradient of the "
                f"objective of {self.model}, smoothed where it has kinks, is {left} there."
            )
        if self.transformers == "refit" and self.same_splits:
            return (
                f"Everything was fitted anew on the rows that stay, the splits of {self.model} too."
            )
        if self.transformers == "refit":
            return (
                f"Everything was fitted anew on the rows that stay, and {self.model} moved to its "
                f"optimum: the remaining gradient is {left}, of {before} where scikit-learn's own "
                "fit stopped (0 at the optimum)."
            )
        if self.same_splits:
            return (
                f"The leaves of {self.model} were computed again for the rows that stay, over the "
                f"same splits. From the values that these rows give they are off by {left} in "
                f"all (Euclidean norm); before, by {before}."
            )
        reached = {
            "newton": "moved by one Newton step towards the optimum of the rows that stay",
            "first_order": "moved by one first-order step towards the optimum of the rows that "
            "stay",
        }.get(self.method, "moved to the optimum of the rows that stay")
        how = (
            f"The parameters of {self.model} were {reached}: the remaining gradient is {left}, of "
            f"{before} before (0 at the optimum)."
        )
        if self.distance <= SHORT_OF_THE_OPTIMUM:
            return how
        return (
            f"{how} Its own fit had stopped short of the optimum with all rows, by "
            f"{self.distance:.2g} times the sampling noise: the model was moved by that as well, "
            "which changes predictions without any row leaving."
        )

    def _fingerprints(self) -> list[str]:
        if not self.facts:
            return []
        return [
            "Fingerprints (SHA-256)\n"
            f"  parameters now    {self.facts['parameters']}\n"
            f"  rows that stay    {self.facts['data']}"
        ]

    def _contained(self) -> list[str]:
        """Return what still contains the rows, and how it may be got rid of."""
        first = self.fitted_anew + 1
        later = " and later" if first < len(self.dates) else ""
        some = f" (rows of deletion {first}{later})" if first > 1 else ""
        found = [
            (
                f"Fitted transformers that have seen them{some}",
                self.in_transformers,
                'With transformers="refit" all but frozen ones are fitted anew; a frozen model has '
                "to be fitted again.",
            ),
            (
                "Chosen with them",
                self.in_choices,
                "A new fit without the rows chooses anew.",
            ),
            (
                "Numbers that the fit with them has left",
                self.in_records,
                "Predictions do not depend on these.",
            ),
        ]
        kept = [
            "\n".join([f"{what}:", *map(_item, names), _item(way, "  ")])
            for what, names, way in found
            if names
        ]
        if not kept:
            return ["Nothing of the model that is known of still contains the removed rows."]
        return ["What still contains the removed rows", *kept]


def _day(date: str) -> str:
    return f"{date[:10]} {date[11:16]} UTC"


def _item(text: str, mark: str = "  - ") -> str:
    after = " " * len(mark)
    return textwrap.fill(
        text, 88, initial_indent=mark, subsequent_indent=after, break_long_words=False
    )


def _paragraph(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 88, subsequent_indent=indent, break_long_words=False)
