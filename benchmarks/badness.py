"""How bad labels look: by the audit, and by what others do. The worst has the largest number."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from skinfluence import InfluenceClassifier, LabelAudit


def audited(estimator, X, given):
    """Return the badness of every row by the audit and what it has beside, and the audit."""
    audit = LabelAudit(clone(estimator)).fit(X, given)
    return {
        "two passes": audit.loss_left_out_,
        "one pass": audit.self_influence_ + audit.loss_training_,
        "training loss": audit.loss_training_,
        "self-influence": audit.self_influence_,
    }, audit


def by_folds(estimator, X, given):
    """Return minus the probability of the given label, or of its decision, by ten folds."""
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "decision_function"
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    found = cross_val_predict(clone(estimator), X, given, cv=folds, method=method)
    if found.ndim == 1:
        found = np.column_stack([-found, found])
    return -found[np.arange(len(given)), given]


def by_clean_learning(estimator, X, given):
    """Return cleanlab's badness and which rows it flags; None where it is not installed."""
    try:
        from cleanlab.classification import CleanLearning
    except ImportError:
        return None
    found = CleanLearning(clone(estimator), seed=0).find_label_issues(X, given)
    return -found["label_quality"].to_numpy(), found["is_label_issue"].to_numpy()


def by_influence(estimator, X, given, y):
    """Return the harm to rows of the right label: of each fifth by the others, averaged."""
    harm = np.zeros(len(y))
    for train, held in StratifiedKFold(5, shuffle=True, random_state=0).split(X, given):
        model = InfluenceClassifier(clone(estimator)).fit(X[train], given[train])
        harm[train] -= model.influence_scores(
            X[held], y[held], method="first_order", aggregate="mean"
        )
    return harm


def by_leaves(forest, X, given):
    """Return how seldom the rows that share a leaf with a row share its label."""
    shared = np.zeros(len(given))
    n_classes = given.max() + 1
    ends = forest.apply(X).reshape(len(X), -1)
    for leaves in ends.T:
        own = np.unique(leaves, return_inverse=True)[1]
        counts = np.zeros((own.max() + 1, n_classes))
        np.add.at(counts, (own, given), 1)
        others = counts.sum(axis=1)[own] - 1
        shared += (counts[own, given] - 1) / np.maximum(others, 1)
    return -shared / ends.shape[1]
