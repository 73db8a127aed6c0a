"""What dropping or relabelling the rows that hurt is worth on rows that did not choose them."""

from __future__ import annotations

from typing import Any

from skinfluence.estimators.wrapper import asked_of
from skinfluence.inspection import ValidationAudit
from skinfluence.questions import validation_audit as question
from skinfluence.typing import Array


def validation_audit(
    model: Any,
    X_val: Any,
    y_val: Any,
    *,
    k: int | list[int] | Array | None = None,
    action: str = "drop",
    y_new: Any = None,
    folds: int = 4,
    method: str | None = None,
    random_state: Any = 0,
    verify: bool = False,
) -> ValidationAudit:
    """Return what dropping (or relabelling) the rows that hurt a validation loss is really worth.

    Rows that are chosen because they hurt some validation rows hurt these: the change that one
    reads off the same rows flatters, often where dropping them does harm. So validation rows are
    cut into folds. For each fold the training rows are ranked by their mean scores on the other
    folds, and what the k worst of them do together is predicted on that fold:

        change(k) = 1/n_val sum_t [l(y_t, f(x_t; theta without the k worst on the other folds))
                                   - l(y_t, f(x_t; theta))].

    That is an estimate of the change of the mean loss on fresh data when the k rows are dropped
    that are the worst on all validation rows. Its standard error is

        s / sqrt(n_val) * sqrt(1 + J / (J - 1)),

    s the standard deviation of the summands and J the number of folds: the plain one counts on
    rows that have nothing to do with each other, and is too small, for folds share the rows that
    choose, and what is chosen varies. The second root (1.5 for four folds) is the correction of
    Nadeau & Bengio for that. Page "Which rows hurt?" has the coverage that was measured: two
    standard errors cover in 95 % of the cases or more, two plain ones in 82 to 98 %.

    Parameters
    ----------
    model : InfluenceClassifier or InfluenceRegressor
        Fitted.
    X_val, y_val : array-like of shape (n_val, n_features) and (n_val,) or (n_val, n_outputs)
        Rows that the model was not fitted on. Their labels are believed: what is wrong there is
        what training rows are blamed for.
    k : int or sequence of int, optional
        How many of the worst rows; by default 1, 2, 5, 10, 20, 50, ... up to a tenth of the rows.
        Every number is one more to choose from: ask for few.
    action : {"drop", "relabel"}, default="drop"
    y_new : array-like of shape (n_train,) or (n_train, n_outputs), optional
        The target that each training row gets where it is relabelled. By default that which the
        model without the row says: the likeliest class other than the given one, of a regressor
        its prediction (`InfluenceClassifier.leave_one_out`).
    folds : int, default=4
        Of validation rows, within each class of a classifier.
    method : {"first_order", "newton", "exact", "auto"}, optional
        Of single rows, which are ranked by it, and of the sets. As the model's own by default.
        Sets that are relabelled are refitted to the minimum by "newton" as by "exact", for linear
        models: one joint step goes many times too far there. To first order, the default of
        networks, effects of sets are sums, which are too small for large ones.
    random_state : int, RandomState or None, default=0
        Of the folds.
    verify : bool, default=False
        Refit the final step to check every set: scikit-learn's own fits, as tight as
        `InfluenceClassifier.leave_one_out_check` has them; of trees their leaves over the same
        splits. At most (folds + 1) fits for every number in `k`.

    Returns
    -------
    ValidationAudit
        The curve over k with standard errors, beside it the in-sample change as what it is;
        ``advice``, how many rows to drop, often 0; ``rows``, which they are; ``harmful``, the rows
        that are significantly harmful by themselves.

    Raises
    ------
    TypeError
        For a model that is no wrapper.
    NotFittedError
        For one that is not fitted.
    ValueError
        For the training rows themselves, labels that the model does not know, fewer rows than
        folds, numbers k that are none, and sets that leave no row of a class.

    Notes
    -----
    Scores of a block of validation rows at a time are summed up by fold; never are all there.

    A number k is advised where change + z standard_error < 0, and of several such the one with the
    smallest change. z is the quantile of the normal distribution at which all numbers on the curve
    together pass by chance in 5 % of the cases at most (Bonferroni): 1.6 for one, 2.4 for six.
    What is chosen like that still looks somewhat better than it is.

    References
    ----------
    Nadeau, C. & Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52.
    doi:10.1023/A:1024068626366.

    Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1).
    doi:10.1111/j.2517-6161.1995.tb02031.x.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skinfluence import InfluenceClassifier, validation_audit
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    >>> model = InfluenceClassifier(pipeline).fit(X[:300], y[:300])
    >>> audit = validation_audit(model, X[300:], y[300:], k=[1, 5, 20])
    >>> audit.change.round(3), audit.in_sample.round(3)
    (array([-0.006, -0.025, -0.037]), array([-0.009, -0.029, -0.041]))
    >>> audit.standard_error.round(3), audit.advice
    (array([0.005, 0.009, 0.013]), 20)
    """
    return question.validation_audit(
        asked_of(model),
        X_val,
        y_val,
        k=k,
        action=action,
        y_new=y_new,
        folds=folds,
        method=method,
        random_state=random_state,
        verify=verify,
    )
