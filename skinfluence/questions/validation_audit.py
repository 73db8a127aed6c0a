"""What dropping or relabelling the rows that hurt is worth on rows that did not choose them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skinfluence.adapters import target_transformers
from skinfluence.effects import check_target
from skinfluence.inspection import GivenRows, ValidationAudit
from skinfluence.losses import OneVsOne
from skinfluence.mechanisms import Mechanism
from skinfluence.objectives import Objective
from skinfluence.process.progress import counted, take_less
from skinfluence.process.row_keys import row_keys
from skinfluence.process.row_names import length_of
from skinfluence.process.warnings import warn
from skinfluence.questions.check import judge_for
from skinfluence.questions.cross_fitting import (
    Ranking,
    in_folds,
    masks_of,
    on_own_fold,
    sizes_given,
)
from skinfluence.questions.editing import refuse_groups, refuse_unanswered, relabelled
from skinfluence.questions.evaluation import accepted_features, as_array
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.folds import folds_of_rows
from skinfluence.questions.frozen_splits import frozen_trees
from skinfluence.questions.left_out import given_targets, leave_one_out, loss_of_test_rows
from skinfluence.questions.refits import Refits, scored_network
from skinfluence.questions.rows import by_label, refuse_lost_classes, warn_of_lonely_rows
from skinfluence.questions.scoring import Asked, edit_scorer
from skinfluence.removal import Counterfactuals, Edits
from skinfluence.retraining import refit_leaves
from skinfluence.typing import Array

ACTIONS = ("drop", "relabel")

SAME = 0.5
"""Part of the validation rows that may be copies of training rows: real data have some."""

_NO_ROW = np.empty(0, dtype=int)


@by_label
def validation_audit(
    fitted: Fitted,
    X_val: Any,
    y_val: Any,
    *,
    k: Any = None,
    action: str = "drop",
    y_new: Any = None,
    folds: Any = 4,
    method: str | None = None,
    random_state: Any = 0,
    verify: bool = False,
) -> ValidationAudit:
    """See `skinfluence.validation_audit`."""
    _refuse_training_rows(fitted, X_val)
    sizes = sizes_given(k, fitted.n_train)
    asked = Asked(X_val, y_val, method=method).resolved(fitted, "validation_audit")
    check_target(asked.target, fitted.objective())
    features = accepted_features(fitted, X_val, asked.y_test, kind="val")
    _warn_of_training_rows(fitted, features)
    _refuse_missing_targets(asked.y_test)
    fold = folds_of_rows(asked.y_test, folds, random_state, stratified=fitted.classifier)
    if action not in ACTIONS:
        raise ValueError(f"action={action!r} was given; accepted are 'drop' and 'relabel'.")
    edit: Drop | Relabel
    if action == "drop":
        if y_new is not None:
            raise ValueError(
                "y_new was given with action='drop', which has no use for it. Pass "
                "action='relabel', or leave y_new out."
            )
        edit = Drop(fitted)
    else:
        refuse_unanswered(fitted, "relabelling")
        targets = new_targets(fitted) if y_new is None else as_array(y_new)
        edit = Relabel(fitted, np.asarray(targets), relabelled(fitted, targets))

    scorer = edit_scorer(fitted, asked, edit.of_rows, features=features)
    warn_of_lonely_rows(fitted)
    sums, squares = scorer.moments(in_folds(fold))
    ranking = Ranking(sums, squares, np.bincount(fold))
    sets, which, names = ranking.sets(sizes)
    masks = masks_of(sets, fitted.n_train)
    edit.refuse(masks, names)

    def together(mechanism: Mechanism, used: str) -> Counterfactuals:
        return edit.of_groups(mechanism, masks, names, used)

    groups = edit_scorer(fitted, asked, together, features=features, called="sets of rows")
    predicted = groups.matrix(np.float64)
    refitted = None
    if verify:
        take_less("verify=False")
        actual = edit.refitted(asked, groups.test, features, sets)
        refitted = on_own_fold(actual, which, fold)
    return ValidationAudit(
        k=sizes,
        action=action,
        effects=on_own_fold(predicted, which, fold),
        in_sample=predicted[:, which[-1]].mean(axis=0),
        refitted=refitted,
        folds=fold,
        scores=ranking.means(),
        score_errors=ranking.errors(),
        row_labels=fitted.row_labels,
        targets=given_targets(fitted),
        new_targets=edit.targets,
        method=scorer.method,
        loss=loss_of_test_rows(fitted),
        origin=fitted.origin,
        given=fitted.given,
    )


def _refuse_training_rows(fitted: Fitted, X_val: Any) -> None:
    X = fitted.raw.X
    same = X_val is X
    if not same and np.shape(X_val) == np.shape(X):
        same = GivenRows(X_val).fingerprint == GivenRows(X).fingerprint
    if same:
        raise ValueError(
            "The training rows were given as validation rows, on which every row seems to help "
            "where it lies: the model has seen them. Rows that it was not fitted on are accepted. "
            "Split the data first, and fit on the other part."
        )


def _warn_of_training_rows(fitted: Fitted, features: Any) -> None:
    """Say that most validation rows are among those the model was fitted on."""
    trained = set(row_keys(fitted.training.X))
    among = sum(row in trained for row in row_keys(features))
    n = length_of(features)
    if among > SAME * n:
        warn(
            f"{among} of {n} validation rows are training rows, too, as the final step sees them: "
            "the model has seen what it is measured on. Pass rows that it was not fitted on.",
            UserWarning,
        )


def _refuse_missing_targets(y: Any) -> None:
    values = np.asarray(y)
    if values.dtype.kind == "f" and not np.all(np.isfinite(values)):
        wrong = int(np.count_nonzero(~np.isfinite(values)))
        raise ValueError(
            f"y_val has {wrong} target(s) that are missing or infinite; finite ones are accepted. "
            "Drop these rows."
        )


# ------------------------------------------------------------------------------ what is done to it


@dataclass(frozen=True, eq=False)
class Drop:
    """Rows leave."""

    fitted: Fitted
    targets = None

    def of_rows(self, mechanism: Mechanism, method: str) -> Counterfactuals:
        """Return what the removal of every row does."""
        return mechanism.removal(method)

    def of_groups(
        self, mechanism: Mechanism, masks: Any, names: Array, method: str
    ) -> Counterfactuals:
        """Return what the removal of sets of rows does."""
        return mechanism.groups(masks, names, method)

    def refuse(self, masks: Any, names: Array) -> None:
        """Refuse sets that leave no row of a class."""
        refuse_groups(self.fitted, masks, names)

    def refitted(self, asked: Asked, test: Any, features: Any, sets: list[Array]) -> Array:
        """Return the changes of the loss of test rows by refits, shape (n_test, n_sets)."""
        removed = [_NO_ROW, *sets]
        if _of_trees(self.fitted):
            trees = frozen_trees(self.fitted.objective(), test)
            return _changes_of_trees(asked, test, refit_leaves(trees, removed))
        refits, judge = _refits(self.fitted, asked, features)
        return refits.of_final_step(judge, features, removed).changes


@dataclass(frozen=True, eq=False)
class Relabel:
    """Rows get other targets.

    Attributes
    ----------
    fitted : Fitted
    targets : ndarray of shape (n_train,) or (n_train, n_outputs)
    coming : Objective
        Over the training rows with these.
    """

    fitted: Fitted
    targets: Array
    coming: Objective

    def of_rows(self, mechanism: Mechanism, method: str) -> Counterfactuals:
        """Return what the new target of every row does."""
        edits = Edits(mechanism.reference, coming=mechanism.at_reference(self.coming))
        return mechanism.edits(edits, method)

    def of_groups(
        self, mechanism: Mechanism, masks: Any, names: Array, method: str
    ) -> Counterfactuals:
        """Return what the new targets of sets of rows do."""
        return mechanism.groups(masks, names, method, mechanism.at_reference(self.coming))

    def refuse(self, masks: Any, names: Array) -> None:
        """Refuse sets whose new labels leave no row of a class."""
        if self.fitted.classifier and self.targets.ndim == 1:
            data = self.fitted.training
            refuse_lost_classes(masks, data.y, self.targets, data.sample_weight, names)

    def refitted(self, asked: Asked, test: Any, features: Any, sets: list[Array]) -> Array:
        """Return the changes of the loss of test rows by refits, shape (n_test, n_sets)."""
        n, what = len(sets), f"{len(sets)} fits to other targets"
        fits = counted(sets, what, n, size=lambda _: 1, unit="fits")
        if _of_trees(self.fitted):
            base, coming = self.fitted.objective(), self.coming
            full = refit_leaves(frozen_trees(base, test), [_NO_ROW])
            others = [
                refit_leaves(frozen_trees(_with_targets(base, coming, rows), test), [_NO_ROW])
                for rows in fits
            ]
            return _changes_of_trees(asked, test, np.concatenate([full, *others]))
        refits, judge = _refits(self.fitted, asked, features)
        full = refits.of_final_step(judge, features, [_NO_ROW]).values
        columns = [
            refits.of_final_step(judge, features, [_NO_ROW], y=self._changed(rows)).values
            for rows in fits
        ]
        return np.column_stack(columns) - full

    def _changed(self, rows: Array) -> Array:
        """Return the targets of the final step, those of some rows changed."""
        new: Any = self.targets
        for transformer in target_transformers(self.fitted.estimator):
            new = transformer.forward(new)
        y = np.array(self.fitted.training.y)
        new = np.asarray(new).reshape(y.shape)
        y = y.astype(np.result_type(y, new)) if y.dtype.kind != "O" else y
        y[rows] = new[rows]
        return y


def new_targets(fitted: Fitted) -> Array:
    """Return the target that the other rows say of each row.

    Of a classifier the likeliest class other than the label that the row has, of a regressor the
    prediction, by the model without the row.
    """
    y = given_targets(fitted)
    if not fitted.classifier:
        predictions = np.asarray(leave_one_out(fitted).predictions).reshape(y.shape)
        return np.where(np.isnan(predictions), y, predictions)  # of rows in the bags of all trees
    classes = getattr(fitted.estimator, "classes_", None)
    if y.ndim > 1 or classes is None or isinstance(classes, list):
        raise ValueError(
            "action='relabel' was asked of a model of several labels a row without y_new, and "
            "which of them is to change is not known. Pass y_new, the targets of every row as "
            "they are to be."
        )
    given = np.searchsorted(classes, y)
    if len(classes) == 2:
        return np.asarray(classes)[1 - given]
    answer, loss = leave_one_out(fitted), fitted.objective().loss  # type: ignore[attr-defined]
    support = answer.probabilities if answer.probabilities is not None else answer.decisions
    assert support is not None
    if isinstance(loss, OneVsOne):  # whose decisions are of pairs
        support = loss.votes(support)
    support = np.array(support, dtype=np.float64)
    support[np.arange(len(y)), given] = -np.inf
    unknown = np.isnan(support).any(axis=1)  # likewise: nothing speaks for a change
    likeliest = np.where(unknown, given, np.argmax(support, axis=1))
    return np.asarray(classes)[likeliest]


# ------------------------------------------------------------------------------------------- refits


def _of_trees(fitted: Fitted) -> bool:
    return fitted.objective().kind == "trees"


def _with_targets(base: Any, coming: Any, rows: Array) -> Any:
    """Return trees over their training rows, some of them with other targets."""
    y, w = base.targets.copy(), base.sample_weight.copy()
    y[rows], w[rows] = coming.targets[rows], coming.sample_weight[rows]
    return replace(base, y=y, sample_weight=w)


def _changes_of_trees(asked: Asked, test: Any, raw: Array) -> Array:
    """Return the changes of the loss by raw predictions of several fits, the first of all rows."""
    full, *others = raw
    target: Any = asked.make_target(test)(test, slice(None))
    judged = replace(target, eta=full)
    changes: Array = judged.change(np.stack(others, axis=1) - full[:, None])
    return changes


def _refits(fitted: Fitted, asked: Asked, features: Any) -> tuple[Refits, Any]:
    """Return what refits the final step, and the judge that does it."""
    refits, judge = Refits(fitted, asked.y_test, "loss", None), judge_for(fitted)
    if judge.goes_on:  # networks: from where the judge's own fit of all rows ends
        mechanism = fitted.answers.answering
        assert mechanism is not None
        judge = judge.starting_at(scored_network(fitted, mechanism.objective))
        judge = judge.starting_at(refits.of_final_step(judge, features, [_NO_ROW]).steps[0])
    return refits, judge
