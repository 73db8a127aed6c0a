"""The contract of a mechanism: what edits of the training rows do to a fitted model of one family.

A family of models is one objective, one mechanism and its adapters. Questions know mechanisms by
this contract alone, and find the one of a model by the type of its objective.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skinfluence.minimisers.distance import Refinement
from skinfluence.objectives import Objective
from skinfluence.process.progress import counting
from skinfluence.process.warnings import warn
from skinfluence.removal import Counterfactuals, Edits, Measures
from skinfluence.solvers import Factor, Numerics
from skinfluence.typing import Array

Kept = tuple[Counterfactuals, list[warnings.WarningMessage]]


@dataclass(frozen=True)
class Settings:
    """What a user asked of the numbers, and what is known of the fit.

    Attributes
    ----------
    name : str
        Type of the estimator, for messages.
    solver, curvature, damping, refine
        Of the wrapper.
    frozen : bool
        The estimator came fitted: it may have been fitted on something else.
    out_of_iterations : bool
        It stopped at its max_iter, which is reason enough to be far from the optimum.
    smoothed : bool
        The objective is a smoothed one, the estimator's own is not: their minima differ.
    """

    name: str = "model"
    solver: Any = "auto"
    curvature: str = "auto"
    damping: float = 0.0
    refine: Any = "auto"
    frozen: bool = False
    out_of_iterations: bool = False
    smoothed: bool = False


class Mechanism(ABC):
    """What edits of the training rows do to a fitted model of one family.

    A subclass says by which methods it answers and which is the default, makes itself from an
    objective at the fitted parameters (`at`), and answers edits of rows (`edits`) and of groups
    (`groups`). Everything else has a default.

    Attributes
    ----------
    methods : tuple of str
        By which it answers, the cheapest first.
    default_method : str
        What ``method="auto"`` means.
    minimising : tuple of str
        Those that go to a minimum, whatever the damping.
    changes : tuple of str
        Which edits `edits` answers: "removal" (rows leave), "addition" (rows come), "relabelling"
        (a row leaves and comes back with another target).
    held : tuple of str
        What the fit chose with the rows, and a deletion leaves as it is, in words.
    objective : Objective
        Over the training rows, in the parameters that edits change, where scores are computed.
    refinement : Refinement or None
        How far that is from the fitted parameters; None for a family that is not moved.
    """

    methods: ClassVar[tuple[str, ...]]
    default_method: ClassVar[str]
    minimising: ClassVar[tuple[str, ...]] = ("exact",)
    changes: ClassVar[tuple[str, ...]] = ("removal",)
    held: ClassVar[tuple[str, ...]] = ()
    objective: Objective
    refinement: Refinement | None = None

    @classmethod
    @abstractmethod
    def at(cls, objective: Objective, settings: Settings) -> Self:
        """Return the mechanism of an objective at its fitted parameters.

        Raises
        ------
        ValueError
            For parameters that are surely of other rows, and without a finite optimum.
        """

    @abstractmethod
    def edits(self, edits: Edits, method: str) -> Counterfactuals:
        """Return what each edit of one row, stated for `reference`, does by a method."""

    @abstractmethod
    def groups(
        self, masks: Any, names: Array | None, method: str, coming: Objective | None = None
    ) -> Counterfactuals:
        """Return what the removal of groups of rows, or their relabelling, does by a method.

        Parameters
        ----------
        masks : CSR matrix of bool, shape (n_groups, n_train)
        names : ndarray of shape (n_groups,) or None
            What a warning calls the groups; None where they are just rows.
        method : str
        coming : Objective, optional
            Stated for `reference`, the training rows with the targets with which those of a group
            come back. Given only to families that answer "relabelling"; by default rows leave.
        """

    @classmethod
    def default_for(cls, question: str, objective: Objective) -> str:
        """Return what "auto" means for a question, by the name of the wrapper's method.

        Of "label_audit" it may be "folds", which is no method of any family: refits without tenths
        of the rows, where a model without each row costs more or says less.
        """
        return "folds" if question == "label_audit" else cls.default_method

    @classmethod
    def assumption(cls, method: str, question: str) -> str:
        """Return what an answer by a method takes as given, in a sentence; "" for nothing."""
        return ""

    @classmethod
    def refits_for(cls, objective: Objective) -> tuple[str, ...]:
        """Return against which refits scores can be checked, the default first."""
        return "final", "pipeline"

    @classmethod
    def refine_for(cls, method: str, refine: Any) -> Any:
        """Return the `refine` under which a method answers; raise ValueError where it cannot."""
        return refine

    @property
    def reference(self) -> Objective:
        """The objective in all parameters, from which changes are measured."""
        return self.objective

    @property
    def solver(self) -> str:
        """What inverts the curvature, and why."""
        return "none: this family of models needs none"

    @property
    def numerics(self) -> Numerics | None:
        """How well that inverts; None where nothing was inverted."""
        return None

    @property
    def factor(self) -> Factor:
        """The factor of the curvature with damping; raises where there is none."""
        raise ValueError(
            f"The curvature of {type(self.objective).__name__} was asked for, and this family of "
            "models has none. Ask for influence_scores, self_influence or leave_one_out."
        )

    @cached_property
    def _removals(self) -> dict[str, Kept]:
        return {}

    def removal(self, method: str) -> Counterfactuals:
        """Return the removal of every row by a method, kept for the next call."""
        kept = self._removals
        if method not in kept:
            n = self.reference.n_samples
            what = f"the removal of each of {n:,} rows by method={method!r}"
            with counting(what), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                kept[method] = self.edits(Edits(self.reference), method), caught
        removal, caught = kept[method]
        for warning in caught:  # what holds of these removals is said whenever they are used
            warn(str(warning.message), warning.category)
        return removal

    def at_reference(self, rows: Objective, *, comes: bool = False) -> Objective:
        """Return other rows, stated at the fitted parameters, at the reference.

        Parameters
        ----------
        rows : Objective
        comes : bool
            They come to the training data, and are not only tested.
        """
        return rows.at(self.reference.theta)

    def test(self, test: Objective, changes: Counterfactuals) -> Objective:
        """Return test rows at the reference, in the parameters that `changes` are of."""
        return self.at_reference(test)

    def in_all_parameters(self, D: Array, changes: Counterfactuals) -> Array:
        """Return changes, a row each, of all parameters."""
        return D

    def directions(self, positions: Array, changes: Counterfactuals) -> Array:
        """Return the axes of some of all parameters, in those that changes are of, as columns."""
        out = np.zeros((self.reference.n_params, len(positions)))
        out[positions, np.arange(len(positions))] = 1.0
        return out

    @property
    def several_minima(self) -> bool:
        """Whether a refit from another start may end in another minimum."""
        return False

    def diagnostics(self, method: str, dispersion: str, n_jobs: int | None) -> Measures:
        """Return the case diagnostics of every training row."""
        raise ValueError(
            f"diagnostics are defined for linear models, and {type(self.objective).__name__} is "
            "none; parameter_influence() and self_influence() are defined for it."
        )

    def proximal(self) -> Counterfactuals:
        """Return the answer of a proximal objective to the removal of every row."""
        raise ValueError(
            "refit='proximal' was asked for, the yardstick of networks that are not at a minimum; "
            f"{type(self.objective).__name__} has none. Use refit='final'."
        )

    def prediction_weights(self, test: Objective) -> Array:
        """Return the weights of the training targets in the predictions, (n_test, n_train)."""
        raise ValueError(
            "prediction_weights was asked for, which is of models whose predictions are linear in "
            "the training targets over the same splits: trees, forests, and boosted trees under "
            f"squared error. {type(self.objective).__name__} is none of these; ask for "
            "relabel_influence, which says what another target of a row does."
        )

    def gradient_norm(self, objective: Objective) -> float:
        """Return how far an objective is from being stationary, 0 at its optimum."""
        return float(np.linalg.norm(objective.gradient()))

    def without(self, masks: Any, method: str) -> tuple[Objective, Objective]:
        """Return the objective over the rows that one group leaves, as fitted and without it.

        Parameters
        ----------
        masks : CSR matrix of bool, shape (1, n_train)
        method : str

        Raises
        ------
        ValueError
            Where the rows that stay have no finite optimum.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                removal = self.groups(masks, None, method)
                D = self.in_all_parameters(removal.changes(np.array([0])).T, removal)
                removal.report()
            except ConvergenceWarning as error:
                raise ValueError(self.no_optimum_without(masks.nnz, error)) from error
        before, weighting = self.reference, self.reference.weighting
        ratios = weighting.ratios(masks @ weighting.counted())
        w = weighting.all_weights(ratios, before.sample_weight)[:, 0]
        kept = np.delete(np.arange(masks.shape[1]), masks.indices)
        before = before.rows(kept).with_weights(w[kept])
        return before, before.at(before.theta + D[0])

    def no_optimum_without(self, n_rows: int, error: Warning) -> str:
        """Return what to say where no optimum was found without some rows."""
        return f"{error} Or take method='newton', one step, or fit again without these rows."


@singledispatch
def mechanism_of(objective: Any) -> type[Mechanism]:
    """Return the mechanism of the family that an objective belongs to, by its type.

    Parameters
    ----------
    objective : Objective

    Raises
    ------
    TypeError
        For what no mechanism is registered for.
    """
    raise TypeError(
        f"{type(objective).__name__} was given; an Objective, such as LinearObjective or "
        "AutogradObjective, is accepted. Register a mechanism for it: "
        "@skinfluence.mechanisms.register_mechanism."
    )


M = TypeVar("M", bound=type[Mechanism])

_METHODS: dict[str, None] = {}


def known_methods() -> tuple[str, ...]:
    """Return the methods that some family has, in the order in which they became known."""
    return tuple(_METHODS)


def register_mechanism(objective: type[Any]) -> Callable[[M], M]:
    """Register a mechanism for a type of objective and its subclasses, as a class decorator.

    Parameters
    ----------
    objective : type
        A subclass of Objective; of several that fit, the nearest base counts.
    """

    def register(mechanism: M) -> M:
        mechanism_of.register(objective, lambda _: mechanism)
        _METHODS.update(dict.fromkeys(mechanism.methods))
        return mechanism

    return register


def resolve_method(method: str, objective: Objective, question: str = "") -> str:
    """Return what a method means for the family of an objective, when a question is asked.

    Raises
    ------
    ValueError
        For a method that the family has not.
    """
    mechanism = mechanism_of(objective)
    if method == "auto":
        return mechanism.default_for(question, objective)
    if method not in mechanism.methods:
        raise ValueError(
            f"method={method!r} was given; {type(objective).__name__} has the methods "
            f"{mechanism.methods}. Pass one of them, or 'auto'."
        )
    return method
