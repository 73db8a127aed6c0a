"""What questions return: an array with its labels, to read, to draw and to keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Self, cast

import numpy as np

from skinfluence.inspection import storage
from skinfluence.inspection.given_rows import GivenRows
from skinfluence.inspection.tables import cut, html_page, html_table, text_table
from skinfluence.process.digest import digest
from skinfluence.process.versions import versions
from skinfluence.typing import Array

LINES_SHOWN = 9
"""Lines of a result that is printed."""

LONGEST_WARNING = 160
"""Characters of a warning that a printed result repeats."""


@dataclass(frozen=True, eq=False)
class Origin:
    """The model and the training rows that a result is about, and what made it when.

    Hashes take .2 s for 80 MB, so they wait for whoever wants them: they are of the data as they
    are when `facts` of a result of this fit, or one of its files, are first asked for.

    Attributes
    ----------
    estimator : object
        What was fitted.
    training : GivenRows
    sample_weight : array-like or None
    parameters : ndarray or None
        Of the fitted model.
    created : str
        Date and time of the answer, in UTC.
    """

    estimator: Any
    training: GivenRows
    sample_weight: Any = None
    parameters: Array | None = None
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @cached_property
    def facts(self) -> dict[str, str]:
        """What is kept of it: estimator, hashes of data and parameters, date and versions."""
        return {
            "estimator": " ".join(repr(self.estimator).split()),
            "data": digest(self.training.fingerprint, self.sample_weight),
            "parameters": digest(self.parameters),
            "created": self.created,
            **versions(),
        }


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Result(ABC):
    """An answer: ``np.asarray(result)`` is the array, and the rest says what its entries are.

    Attributes
    ----------
    facts : dict
        Estimator, SHA-256 of the training data (as they are when it is first asked for) and of the
        parameters, date and versions.
    assumed : str
        What the answer takes as given, in a sentence; "" for nothing that needs saying.
    warned : tuple of str
        What the question warned of while it was answered.
    """

    kinds: ClassVar[dict[str, type[Result]]] = {}

    assumed: str = ""
    warned: tuple[str, ...] = ()
    origin: Origin | None = field(default=None, metadata={"kept": False})
    given: GivenRows | None = field(default=None, metadata={"kept": False})
    read_header: dict[str, Any] | None = field(default=None, metadata={"kept": False})

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Result.kinds[cls.__name__] = cls

    # ------------------------------------------------------------------------ what a class supplies

    @abstractmethod
    def _array(self) -> Array:
        """Return the array that this is."""

    @abstractmethod
    def _heading(self) -> str:
        """Return what this is, of what and how computed, in a sentence."""

    @abstractmethod
    def _top(self) -> Mapping[str, Sequence[Any]]:
        """Return the top of the answer as the columns of a small table."""

    def _remarks(self) -> list[str]:
        """Return lines that stand under the table."""
        return []

    _bar: ClassVar[str | None] = None
    """The column of the table that HTML draws as bars."""

    @property
    def _blue(self) -> int:
        """The sign of its numbers that are drawn in blue."""
        return 1

    # ------------------------------------------------------------------------------------- as array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = np.asarray(self._array(), dtype=dtype)
        return array.copy() if copy else array

    # -------------------------------------------------------------------------------------- to read

    def __repr__(self) -> str:
        return "\n".join([self._heading(), text_table(self._top()), *self._all_remarks()])

    def _repr_html_(self) -> str:
        table = html_table(self._top(), self._bar, self._blue)
        return html_page(self._heading(), table, self._all_remarks())

    def _all_remarks(self) -> list[str]:
        warned = (f"Warning: {cut(text, LONGEST_WARNING)}" for text in self.warned)
        assumed = [self.assumed] if self.assumed else []
        return [*self._remarks(), *assumed, *warned]

    # -------------------------------------------------------------------------------------- to keep

    @property
    def facts(self) -> dict[str, str]:
        """Estimator, hashes of training data and parameters, date and versions.

        The data are hashed as they are when a result of this fit is first asked for facts, or
        first kept: what is changed in place before that is in the hash.
        """
        if self.read_header is not None:
            facts: dict[str, str] = self.read_header["facts"]
            return facts
        return {} if self.origin is None else self.origin.facts

    def to_json(self) -> str:
        """Return the result as JSON, which `from_json` reads.

        Returns
        -------
        str
            Numbers, labels and facts, not the training rows. Labels that are numbers, text,
            bytes, dates, times (with the name of their zone), durations or tuples of these come
            back as they were, others (intervals, periods, your own objects) as text.
        """
        return storage.to_text(self._header(), self._kept())

    @classmethod
    def from_json(cls, text: str, *, X: Any = None, y: Any = None) -> Self:
        """Return the result that `to_json` wrote.

        Parameters
        ----------
        text : str
        X, y : optional
            The rows that the result is about, as they were given, so that tables can show them.

        Returns
        -------
        Result
            Of the class that was written.

        Raises
        ------
        ValueError
            For a text that is none, damaged, of another class, or in a newer format; for other
            rows.
        """
        given = _given(X, y)
        return cast(
            Self, storage.from_text(text, lambda header, values: cls._made(header, values, given))
        )

    def save(self, path: Any) -> None:
        """Write the result to a compressed npz file, which `load` reads.

        Labels come back as from `to_json`.

        Parameters
        ----------
        path : str or path
            Taken as it is; no suffix is added.
        """
        storage.to_file(path, self._header(), self._kept())

    @classmethod
    def load(cls, path: Any, *, X: Any = None, y: Any = None) -> Self:
        """Return the result that `save` wrote. Reading a file executes nothing that is in it.

        Parameters
        ----------
        path : str or path
        X, y : optional
            The rows that the result is about, as they were given, so that tables can show them.

        Returns
        -------
        Result
            Of the class that was written.

        Raises
        ------
        ValueError
            For a file that is none, damaged, of another class, or in a newer format; for other
            rows.
        FileNotFoundError
        """
        given = _given(X, y)
        return cast(
            Self, storage.from_file(path, lambda header, values: cls._made(header, values, given))
        )

    def _header(self) -> dict[str, Any]:
        rows = None if self.given is None else self.given.fingerprint
        found = self.read_header or {"facts": self.facts, "rows": rows}
        return {"result": type(self).__name__, **found}

    def _kept(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names_kept()}

    @classmethod
    def _names_kept(cls) -> list[str]:
        kept = (each for each in fields(cls) if each.init and each.metadata.get("kept", True))
        return [each.name for each in kept]

    @classmethod
    def _made(
        cls, header: dict[str, Any], values: dict[str, Any], given: GivenRows | None
    ) -> Result:
        """Return the result that was written, once it prints."""
        kept = {name: header[name] for name in ("facts", "rows")}
        kind = Result.kinds.get(header["result"])
        if kind is None or not issubclass(kind, cls):
            raise storage.Refused(
                f"A result of the class {header['result']!r} was given; {cls.__name__} is accepted "
                "here. Read it by its own class, or by Result, which reads them all."
            )
        unknown = sorted(values.keys() - set(kind._names_kept()))
        if unknown:
            raise storage.Refused(
                f"A {kind.__name__} with the unknown entries {unknown} was given. Read it with the "
                "version that wrote it."
            )
        _refuse_other_rows(given, kept["rows"], kind)
        if kept["facts"] and not {"data", "parameters"} <= kept["facts"].keys():
            raise ValueError("facts without hashes")
        make: Any = kind
        result: Result = make(**values, given=given, read_header=kept)
        repr(result)
        return result

    def _with_own_columns(self, frame: Any, positions: Array, columns: Any) -> Any:
        """Return a frame with columns of its rows beside it; a name it has gets "_train"."""
        if columns is None or columns is False:
            return frame
        if self.given is None:
            raise ValueError(
                f"columns={columns!r} was given, but this result has no rows to show: it was read "
                "from a file. Pass X= and y= to load or from_json."
            )
        own = self.given.frame(np.asarray(positions, dtype=int), columns)
        names = list(frame.columns)
        for name in own.columns:
            while name in names:
                name = f"{name}_train"
            names.append(name)
        own.columns = names[frame.shape[1] :]
        return frame.join(own.set_index(frame.index))


def _given(X: Any, y: Any) -> GivenRows | None:
    """Return rows that are to be shown beside a result."""
    if X is None and y is None:
        return None
    if X is None:
        raise ValueError(
            "y was given without X; rows to show beside a result are X and y as they were given to "
            "fit. Pass both, or neither."
        )
    return GivenRows(X, y)


def _refuse_other_rows(given: GivenRows | None, fingerprint: str | None, kind: type) -> None:
    """Refuse rows that a result is not about."""
    if given is None or given.fingerprint == fingerprint:
        return
    if fingerprint is None:
        raise storage.Refused(
            f"Rows were given to show beside a {kind.__name__}, which has none to show. Leave X "
            "and y out."
        )
    missing = " X and y are both needed." if given.y is None else ""
    raise storage.Refused(
        "Rows were given to show beside a result, but they are not those it was computed for: "
        f"their hashes differ.{missing} Pass X and y as they were given to fit, of the same types "
        "and with the same names, or leave them out."
    )
