"""The check against retraining: which rows, and why scores and refits may differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.utils import check_random_state

from skinfluence.adapters import final_step, freezes_transformers
from skinfluence.effects import Scorer
from skinfluence.estimators.base import target_labels
from skinfluence.estimators.questions import labels_of
from skinfluence.estimators.refits import Refits, held_out, scored_network
from skinfluence.estimators.rows import check_positions
from skinfluence.inspection import LeaveOneOutCheck
from skinfluence.objectives import (
    Averaged,
    Balanced,
    LinearObjective,
    NetworkObjective,
    Objective,
)
from skinfluence.removal import Edits, Removal, moving_support
from skinfluence.retraining import Judge, judge_of

Array = npt.NDArray[Any]

_NO_ROW = np.empty(0, dtype=int)


def check_rows(rows: Any, select: str, forbidden: Array) -> None:
    """Refuse rows that cannot be removed, before anything is computed.

    Parameters
    ----------
    rows : int or array-like of int
        How many at most, or which.
    select : {"extreme", "random"}
    forbidden : ndarray of bool, shape (n_train,)
        Rows that cannot be removed: the only ones of their class.

    Raises
    ------
    ValueError
        For unknown, repeated or forbidden rows, or an unknown `select`.
    """
    if select not in ("extreme", "random"):
        raise ValueError(f"select={select!r} was given; accepted are 'extreme' and 'random'.")
    if np.ndim(rows) > 0:
        _check_given(np.asarray(rows), forbidden)
        return
    if not (isinstance(rows, Integral) and int(rows) >= 1):
        raise ValueError(
            f"rows={rows!r} was given; a number of rows >= 1, or an array of positions, is "
            "accepted."
        )
    if np.all(forbidden):
        raise ValueError(
            "Every training row is the only one of its class: without it the model has other "
            "classes and no change can be compared. Add rows of the same classes."
        )


def _check_given(rows: Array, forbidden: Array) -> None:
    check_positions(rows, len(forbidden))
    if np.any(forbidden[rows]):
        raise ValueError(
            f"rows {rows[forbidden[rows]].tolist()} are the only ones of their class: without them "
            "the model has other classes and no change can be compared. Leave them in."
        )


def choose_rows(
    rows: Any, select: str, norms: Callable[[], Array], forbidden: Array, random_state: Any
) -> Array:
    """Return the positions of the rows to remove, of what `check_rows` let pass.

    Parameters
    ----------
    rows : int or array-like of int
        How many at most, or which.
    select : {"extreme", "random"}
        Largest column norm of the scores, or any.
    norms : callable
        Returns these norms, shape (n_train,); called only where they decide.
    forbidden : ndarray of bool, shape (n_train,)
    random_state : int, RandomState or None
    """
    if np.ndim(rows) > 0:
        return np.asarray(rows)
    allowed = np.flatnonzero(~forbidden)
    if select == "random":
        n_rows = min(rows, len(allowed))
        return np.sort(check_random_state(random_state).choice(allowed, n_rows, replace=False))
    largest: Array = allowed[np.argsort(-norms()[allowed], kind="stable")[:rows]]
    return largest


def judge_for(wrapper: Any) -> Judge:
    """Return the judge of a fitted wrapper's final step."""
    data, out = wrapper._training, held_out(wrapper)
    with sklearn.config_context(enable_metadata_routing=wrapper._routing):
        return judge_of(
            final_step(wrapper.estimator_), data.X, data.sample_weight, n_held_out=len(out)
        )


def leave_one_out(
    wrapper: Any,
    scorer: Scorer,
    judge: Judge,
    X_test: Any,
    y_test: Any,
    *,
    rows: Any,
    select: str,
    target: str,
    output: int | None,
    refit: str,
    random_state: Any,
) -> LeaveOneOutCheck:
    """Return the scores of a fitted wrapper beside refits of its estimator without each row."""
    forbidden = wrapper._lonely()
    chosen = choose_rows(rows, select, scorer.norms, forbidden, random_state)
    labels = target_labels(scorer.test, y_test, target)
    if refit == "proximal":
        return _proximal(wrapper, scorer, chosen, target, int(forbidden.sum()))

    refits = Refits(wrapper, labels, target, output)
    if judge.goes_on:
        # Refits that begin where the judge's own full fit ends differ by the row alone; from the
        # fitted weights, not quite a minimum, each would find its way to another one.
        judge = judge.starting_at(scored_network(wrapper, scorer.removal.objective))
        judge = judge.starting_at(refits.of_final_step(judge, X_test, [_NO_ROW]).steps[0])
    removed = [_NO_ROW, *chosen[:, None]]
    final = refits.of_final_step(judge, X_test, removed)
    whole = refits.of_pipeline(judge, X_test, removed) if refit == "pipeline" else None
    again = None
    if judge.goes_on:  # there and back: a second run from its own end would not move at all
        back = judge.starting_at(final.steps[1])
        again = refits.of_final_step(back, X_test, [_NO_ROW]).values[:, 0] - final.values[:, 0]
    refined = scorer.make_target(scorer.test, slice(None))
    scored = scorer.test.losses() if refined is None else refined.value()
    predicted = scorer.matrix(np.float64, chosen)
    return LeaveOneOutCheck(
        predicted=predicted,
        actual=(final if whole is None else whole).changes,
        noise=final.values[:, 0] - scored,
        rows=chosen,
        row_labels=labels_of(wrapper._raw.X, scorer.n_edits)[chosen],
        method=scorer.removal.method,
        target=target,
        refit="final" if whole is None else "pipeline",
        notes=_notes(wrapper, scorer, chosen, predicted, judge.notes, int(forbidden.sum())),
        actual_final=None if whole is None else final.changes,
        judge_gradients=final.gradients,
        judge_noise=again,
    )


def _proximal(
    wrapper: Any, scorer: Scorer, rows: Array, target: str, n_forbidden: int
) -> LeaveOneOutCheck:
    """Return the scores beside minima of the proximal objective without each row."""
    answers = wrapper._engine(scorer.removal.method).proximal()
    actual = replace(scorer, removal=answers).matrix(np.float64, rows)
    predicted = scorer.matrix(np.float64, rows)
    held = (
        "yardstick: the proximal objective (Bae et al. 2022), which holds the network where it is: "
        "the divergence of its predictions from what they are, and the penalty and damping of the "
        "distance from its parameters. Nothing was refitted by scikit-learn"
    )
    return LeaveOneOutCheck(
        predicted=predicted,
        actual=actual,
        noise=np.zeros(len(actual)),
        rows=rows,
        row_labels=labels_of(wrapper._raw.X, scorer.n_edits)[rows],
        method=scorer.removal.method,
        target=target,
        refit="proximal",
        notes=(held, *_notes(wrapper, scorer, rows, predicted, (), n_forbidden, refitted=False)),
    )


def check_refit(estimator: Any, objective: Objective, refit: str, method: str) -> None:
    """Refuse an unknown refit, one of transformers that are frozen, one that others have not."""
    if refit not in ("final", "pipeline", "proximal"):
        raise ValueError(
            f"refit={refit!r} was given; accepted are 'final', 'pipeline' and, for networks, "
            "'proximal'."
        )
    if refit == "proximal" and not isinstance(objective, NetworkObjective):
        raise ValueError(
            "refit='proximal' was asked for, the yardstick of networks that are not at a minimum; "
            f"{type(final_step(estimator)).__name__} can be refitted. Use refit='final'."
        )
    if refit == "proximal" and method == "exact":
        raise ValueError(
            "refit='proximal' was asked for with method='exact', which answer two questions: of a "
            "network held where it is, and of one moved to its minimum. Use method='first_order' "
            "or 'newton', or refit='final'."
        )
    if refit == "pipeline" and freezes_transformers(estimator):
        raise ValueError(
            "refit='pipeline' was asked for, but a FrozenEstimator keeps the transformers as "
            "they are. Use refit='final', or wrap the Pipeline itself and fit it here."
        )


def _smoothing(wrapper: Any, objective: LinearObjective) -> str:
    """Return what the smoothing of a hinge does to the fitted model, in words."""
    fitted = wrapper._objective().raw_predictions()
    moved = np.sqrt(np.mean((objective.raw_predictions() - fitted) ** 2))
    size = np.sqrt(np.mean(fitted**2))
    return (
        f"smoothing: the hinge is smoothed at temperature {objective.loss.temperature:.3g}; the "
        f"raw predictions of the smoothed optimum are {moved:.2g} off the fitted ones (RMS over "
        f"the training rows; their own is {size:.2g}). Losses are those of the smooth hinge. A "
        "lower temperature= is nearer to the hinge"
    )


def _quiet(wrapper: Any, scorer: Scorer, rows: Array, predicted: Array) -> list[str]:
    """Return what to say where hardly anything can be seen, or another set is active."""
    notes = []
    objective = scorer.removal.objective
    largest = float(np.abs(predicted).max(initial=0.0))
    t = objective.loss.temperature if isinstance(objective, LinearObjective) else None
    if largest == 0.0:
        notes.append(
            "no removal moves these test rows: they are beyond the margin of every one of these "
            "models. Choose test rows with a loss"
        )
    elif t is not None and largest < t:
        notes.append(
            f"the largest predicted change, {largest:.2g}, is below what the temperature {t:.3g} "
            "resolves: these test rows are on their right side, where the smooth loss is a tail "
            "that the hinge has not. Choose test rows with a loss, or another target"
        )
    if isinstance(objective, LinearObjective) and objective.tilt is not None:
        assert isinstance(scorer.removal, Removal)
        everywhere = Edits(wrapper._engine().whole)
        moving = np.isin(rows, moving_support(scorer.removal, everywhere))
        if np.any(moving):
            notes.append(
                f"active set: without each of {int(moving.sum())} of these rows other coefficients "
                "are 0, which this method does not know. method='exact' follows them"
            )
    return notes


def _notes(
    wrapper: Any,
    scorer: Scorer,
    rows: Array,
    predicted: Array,
    changes: tuple[str, ...],
    n_forbidden: int,
    *,
    refitted: bool = True,
) -> tuple[str, ...]:
    notes = _quiet(wrapper, scorer, rows, predicted)
    if changes:
        notes.append(
            f"judge: {type(final_step(wrapper.estimator_)).__name__}, {', '.join(changes)}"
        )
    own = scorer.removal.objective
    if own.kind == "own" and not own.convex and refitted:
        notes.append(
            "several minima: the judge fits anew, from where this type begins; where its loss has "
            "more than one minimum, that may be another, and measures something else"
        )
    leverage = getattr(scorer.removal, "leverage", None)
    if leverage is not None:
        note = f"leverage: largest of the removed rows {leverage[rows].max():.2f}"
        alone = getattr(scorer.removal, "guarded", np.empty(0, dtype=int))
        if guarded := int(np.sum(np.isin(rows, alone))):
            note += f"; {guarded}, whose Newton step goes too far, were minimised on their own"
        notes.append(note)
    if isinstance(scorer.removal.objective.weighting, Balanced):
        notes.append(
            "weights that move: class_weight='balanced' re-weighs the other rows when one "
            "leaves; scores and refits both do"
        )
    elif isinstance(scorer.removal.objective.weighting, Averaged) and refitted:
        notes.append(
            "mean form: the mean of the losses is penalised, so that a row that leaves takes its "
            "share of the penalty along; scores and refits both do"
        )
    engine = wrapper._engine(scorer.removal.method)
    objective = engine.objective
    if isinstance(objective, LinearObjective) and objective.loss.temperature is not None:
        notes.append(_smoothing(wrapper, objective))
    if wrapper.damping > 0 and refitted and scorer.removal.method != "exact":
        notes.append(
            f"damping: scores are of the curvature + {wrapper.damping:g} I, refits know none"
        )
    far = engine.refinement.relative_distance
    if far > 0.01 and not any(note.startswith("smoothing") for note in notes):
        notes.append(
            f"refinement: the fitted parameters were {far:.2f} typical removals away from "
            "the stationary point"
        )
    if n_forbidden:
        notes.append(f"{n_forbidden} row(s) that are the only ones of their class were left in")
    return tuple(notes)
