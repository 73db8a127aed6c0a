"""The check against retraining: which rows, and why scores and refits may differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import sklearn
from sklearn.utils import check_random_state

from skinfluence.adapters import freezes_transformers, rows_drawn
from skinfluence.effects import Scorer
from skinfluence.inspection import LeaveOneOutCheck
from skinfluence.mechanisms import mechanism_of
from skinfluence.objectives import (
    Averaged,
    Balanced,
    LinearObjective,
)
from skinfluence.process.progress import take_less
from skinfluence.process.row_names import named_rows
from skinfluence.questions.fitted import Fitted, labels_of
from skinfluence.questions.frozen_splits import frozen_trees
from skinfluence.questions.refits import Refits, held_out, scored_network
from skinfluence.questions.rows import by_label, lonely_rows, rows_given
from skinfluence.questions.scoring import Asked, edit_scorer
from skinfluence.removal import Edits, Removal, changed_supports
from skinfluence.retraining import Judge, judge_of, refit_leaves
from skinfluence.typing import Array

DEFAULT_NUMBER = 30
"""Rows that a check removes where it is not told."""

_NO_ROW = np.empty(0, dtype=int)


def number_or_rows(fitted: Fitted, rows: Any, positions: Any, labels: Any) -> Any:
    """Return how many training rows to remove at most, or the positions of which."""
    if positions is None and labels is None:
        if rows is None:
            return DEFAULT_NUMBER
        if isinstance(rows, Integral) and not isinstance(rows, bool):
            return rows
    return rows_given(fitted, rows, positions, labels)


def check_rows(rows: Any, select: str, forbidden: Array) -> None:
    """Refuse rows that cannot be removed, before anything is computed.

    Parameters
    ----------
    rows : int or ndarray of int
        How many at most, or which (positions).
    select : {"extreme", "random"}
    forbidden : ndarray of bool, shape (n_train,)
        Rows that cannot be removed: the only ones of their class.

    Raises
    ------
    ValueError
        For forbidden rows, no rows, or an unknown `select`.
    """
    if select not in ("extreme", "random"):
        raise ValueError(f"select={select!r} was given; accepted are 'extreme' and 'random'.")
    if isinstance(rows, np.ndarray):
        if np.any(forbidden[rows]):
            raise ValueError(
                f"rows {named_rows(rows[forbidden[rows]])} are the only ones of their class: "
                "without them the model has other classes and no change can be compared. Leave "
                "them in."
            )
        return
    if rows < 1:
        raise ValueError(
            f"rows={rows!r} was given; a number of rows >= 1, or rows, are accepted: labels or "
            "positions in a list, a mask, a slice."
        )
    if np.all(forbidden):
        raise ValueError(
            "Every training row is the only one of its class: without it the model has other "
            "classes and no change can be compared. Add rows of the same classes."
        )


def choose_rows(
    rows: Any, select: str, norms: Callable[[], Array], forbidden: Array, random_state: Any
) -> Array:
    """Return the positions of the rows to remove, of what `check_rows` let pass.

    Parameters
    ----------
    rows : int or ndarray of int
        How many at most, or which.
    select : {"extreme", "random"}
        Largest column norm of the scores, or any.
    norms : callable
        Returns these norms, shape (n_train,); called only where they decide.
    forbidden : ndarray of bool, shape (n_train,)
    random_state : int, RandomState or None
    """
    if isinstance(rows, np.ndarray):
        return rows
    allowed = np.flatnonzero(~forbidden)
    if select == "random":
        n_rows = min(rows, len(allowed))
        return np.sort(check_random_state(random_state).choice(allowed, n_rows, replace=False))
    return allowed[np.argsort(-norms()[allowed], kind="stable")[:rows]]


def judge_for(fitted: Fitted) -> Judge:
    """Return the judge of the final step."""
    data, out = fitted.training, held_out(fitted)
    with sklearn.config_context(enable_metadata_routing=fitted.routing):
        return judge_of(fitted.final, data.X, data.sample_weight, n_held_out=len(out))


@by_label
def leave_one_out_check(
    fitted: Fitted,
    asked: Asked,
    *,
    rows: Any = None,
    positions: Any = None,
    labels: Any = None,
    select: str = "extreme",
    refit: str | None = None,
    random_state: Any = None,
) -> LeaveOneOutCheck:
    """See `InfluenceClassifier.leave_one_out_check`."""
    used, forbidden = fitted.method(asked.method), lonely_rows(fitted)
    which = number_or_rows(fitted, rows, positions, labels)
    check_rows(which, select, forbidden)
    refit = check_refit(fitted, refit, used)
    judge = None if refit == "structure" else judge_for(fitted)
    features = asked.features(fitted)
    scorer = edit_scorer(fitted, asked, features=features)
    chosen = choose_rows(which, select, scorer.norms, forbidden, random_state)
    y_test = asked.labels(scorer.test)
    if judge is None:
        return _over_the_same_splits(fitted, asked, scorer, chosen, int(forbidden.sum()))
    if refit == "proximal":
        return _proximal(fitted, asked, scorer, chosen, int(forbidden.sum()))

    predicted = scorer.matrix(np.float64, chosen)
    take_less("a smaller rows=")
    refits = Refits(fitted, y_test, asked.target, asked.at_position(fitted).output)
    if judge.goes_on:
        # Refits that begin where the judge's own full fit ends differ by the row alone; from the
        # fitted weights, not quite a minimum, each would find its way to another one.
        judge = judge.starting_at(scored_network(fitted, scorer.removal.objective))
        judge = judge.starting_at(refits.of_final_step(judge, features, [_NO_ROW]).steps[0])
    removed = [_NO_ROW, *chosen[:, None]]
    final = refits.of_final_step(judge, features, removed)
    whole = refits.of_pipeline(judge, asked.X_test, removed) if refit == "pipeline" else None
    again = None
    if judge.goes_on:  # there and back: a second run from its own end would not move at all
        back = judge.starting_at(final.steps[1])
        again = refits.of_final_step(back, features, [_NO_ROW]).values[:, 0] - final.values[:, 0]
    refined = scorer.make_target(scorer.test, slice(None))
    scored = scorer.test.losses() if refined is None else refined.value()
    return LeaveOneOutCheck(
        predicted=predicted,
        actual=(final if whole is None else whole).changes,
        noise=final.values[:, 0] - scored,
        refit="final" if whole is None else "pipeline",
        notes=(
            *_notes(fitted, scorer, chosen, predicted, judge.notes, int(forbidden.sum())),
            *_redrawn(fitted, refit),
        ),
        actual_final=None if whole is None else final.changes,
        judge_gradients=final.gradients,
        judge_noise=again,
        **_described(fitted, asked, scorer, chosen),
    )


def _described(fitted: Fitted, asked: Asked, scorer: Scorer, rows: Array) -> dict[str, Any]:
    """Return what every check says of its rows and of its origin."""
    return {
        "rows": rows,
        "row_labels": fitted.row_labels[rows],
        "test_labels": labels_of(asked.X_test, scorer.test.n_samples),
        "method": scorer.method,
        "target": asked.target,
        "origin": fitted.origin,
        "given": fitted.given,
    }


def _proximal(
    fitted: Fitted, asked: Asked, scorer: Scorer, rows: Array, n_forbidden: int
) -> LeaveOneOutCheck:
    """Return the scores beside minima of the proximal objective without each row."""
    mechanism = fitted.mechanism(scorer.removal.method)
    answers = mechanism.proximal()
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
        refit="proximal",
        notes=(held, *_notes(fitted, scorer, rows, predicted, (), n_forbidden, refitted=False)),
        **_described(fitted, asked, scorer, rows),
    )


def _over_the_same_splits(
    fitted: Fitted, asked: Asked, scorer: Scorer, rows: Array, n_forbidden: int
) -> LeaveOneOutCheck:
    """Return the scores beside trees whose leaves are computed again without each row."""
    predicted = scorer.matrix(np.float64, rows)
    take_less("a smaller rows=")
    trees = frozen_trees(fitted.objective(), scorer.test)
    full, *without = refit_leaves(trees, [_NO_ROW, *rows[:, None]])
    target: Any = scorer.make_target(scorer.test, slice(None))
    judged = replace(target, eta=full)
    held = (
        "yardstick: the same splits; without the row all leaves are computed again, tree after "
        "tree, by plain loops that share no arithmetic with the scores. A fit without the row may "
        "choose other splits, and moves more"
    )
    return LeaveOneOutCheck(
        predicted=predicted,
        actual=judged.change(np.stack(without, axis=1) - full[:, None]),
        noise=judged.value() - target.value(),
        refit="structure",
        notes=(
            held,
            *_what_stays(fitted),
            *_notes(fitted, scorer, rows, predicted, (), n_forbidden, refitted=False),
        ),
        **_described(fitted, asked, scorer, rows),
    )


def _what_stays(fitted: Fitted) -> list[str]:
    """Return what the fit of trees took from all rows besides the splits, in words."""
    notes, given = [], fitted.training.sample_weight
    unused = fitted.objective().sample_weight == 0
    if given is not None:
        unused &= np.asarray(given) > 0
    if np.any(unused):
        notes.append(
            f"early stopping: the {int(unused.sum())} rows that it held out are in no leaf; their "
            "scores are 0, and the number of trees stays"
        )
    parts = fitted.final, getattr(fitted.final, "estimator", None)  # of bagged trees, theirs
    if any(getattr(part, "class_weight", None) is not None for part in parts):
        notes.append(
            "class weights: they stay what they were with all rows, in scores and in refits"
        )
    return notes


def check_refit(fitted: Fitted, refit: str | None, method: str) -> str:
    """Return against which refit, by default the first that this family of models has.

    Refuses an unknown refit, one of transformers that are frozen, one that others have.
    """
    objective, name = fitted.objective(), type(fitted.final).__name__
    mechanism = mechanism_of(objective)
    known = mechanism.refits_for(objective)
    refit = known[0] if refit is None else refit
    if refit not in _REFUSED:
        raise ValueError(
            f"refit={refit!r} was given; accepted are 'final', 'pipeline' and, for networks, "
            "'proximal', for trees 'structure'."
        )
    if refit not in known:
        raise ValueError(
            f"refit={refit!r} was asked for, {_REFUSED[refit].format(name)}. Use "
            f"refit={known[0]!r}{_KEPT.get(known[0], '')}."
        )
    if refit == "proximal" and method in mechanism.minimising:
        raise ValueError(
            "refit='proximal' was asked for with method='exact', which answer two questions: of a "
            "network held where it is, and of one moved to its minimum. Use method='first_order' "
            "or 'newton', or refit='final'."
        )
    if refit == "pipeline" and freezes_transformers(fitted.estimator):
        raise ValueError(
            "refit='pipeline' was asked for, but a FrozenEstimator keeps the transformers as "
            "they are. Use refit='final', or wrap the Pipeline itself and fit it here."
        )
    return refit


_ANEW = (
    "but a fit of {0} without a row would choose its splits anew. Which ones is mostly chance, so "
    "that one refit says little about one row"
)
_KEPT = {"structure": ", which keeps them, as scores do"}
_REFUSED = {
    "final": _ANEW,
    "pipeline": _ANEW,
    "proximal": "the yardstick of networks that are not at a minimum; {0} can be refitted",
    "structure": "the same splits with other leaves, and {0} has no splits",
}
"""Why a refit is none of a family of models, to be filled with the name of the estimator."""


def _redrawn(fitted: Fitted, refit: str) -> tuple[str, ...]:
    """Return what to say where a refit of everything draws its rows anew."""
    if refit != "pipeline" or rows_drawn(fitted.estimator) is None:
        return ()
    return (
        "sampler: every refit of the Pipeline draws its rows anew, and differs by them as well as "
        "by the row that left; refit='final' is of the rows that were drawn",
    )


def _smoothing(fitted: Fitted, objective: LinearObjective) -> str:
    """Return what the smoothing of a hinge does to the fitted model, in words."""
    start = fitted.objective()
    assert isinstance(start, LinearObjective)
    before = start.raw_predictions()
    moved = np.sqrt(np.mean((objective.raw_predictions() - before) ** 2))
    size = np.sqrt(np.mean(before**2))
    return (
        f"smoothing: the hinge is smoothed at temperature {objective.loss.temperature:.3g}; the "
        f"raw predictions of the smoothed optimum are {moved:.2g} off the fitted ones (RMS over "
        f"the training rows; their own is {size:.2g}). Losses are those of the smooth hinge. A "
        "lower temperature= is nearer to the hinge"
    )


def _quiet(fitted: Fitted, scorer: Scorer, rows: Array, predicted: Array) -> list[str]:
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
        everywhere = Edits(fitted.mechanism(scorer.removal.method).reference)
        changing = np.isin(rows, changed_supports(scorer.removal, everywhere))
        if np.any(changing):
            notes.append(
                f"active set: removing each of {int(changing.sum())} of these rows changes it, "
                "which this method ignores. method='exact' follows it"
            )
    return notes


def _notes(
    fitted: Fitted,
    scorer: Scorer,
    rows: Array,
    predicted: Array,
    changes: tuple[str, ...],
    n_forbidden: int,
    *,
    refitted: bool = True,
) -> tuple[str, ...]:
    notes = _quiet(fitted, scorer, rows, predicted)
    if changes:
        notes.append(f"judge: {type(fitted.final).__name__}, {', '.join(changes)}")
    mechanism = fitted.mechanism(scorer.method)
    if mechanism.several_minima and refitted:
        notes.append(
            "several minima: the judge fits anew, from where this type begins; where its loss has "
            "more than one minimum, that may be another, and measures something else"
        )
    leverage = scorer.removal.leverages
    if leverage is not None:
        note = f"leverage: largest of the removed rows {leverage[rows].max():.2f}"
        if guarded := int(np.sum(np.isin(rows, scorer.guarded))):
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
    objective = mechanism.objective
    if isinstance(objective, LinearObjective) and objective.loss.temperature is not None:
        notes.append(_smoothing(fitted, objective))
    if fitted.options.damping > 0 and refitted and scorer.method not in mechanism.minimising:
        notes.append(
            f"damping: scores are of the curvature + {fitted.options.damping:g} I, refits know none"
        )
    refinement = mechanism.refinement
    far = 0.0 if refinement is None else refinement.relative_distance
    if far > 0.01 and not any(note.startswith("smoothing") for note in notes):
        notes.append(
            f"refinement: the fitted parameters were {far:.2f} times the sampling noise away from "
            "the stationary point"
        )
    if n_forbidden:
        notes.append(f"{n_forbidden} row(s) that are the only ones of their class were left in")
    return tuple(notes)
