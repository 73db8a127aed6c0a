"""What a wrapper is asked of other training data: groups, deletion, new rows, other labels."""

from __future__ import annotations

import warnings
from copy import deepcopy
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import get_tags

from skinfluence.adapters import (
    Training,
    features_of,
    final_step,
    is_smoothed,
    recorded,
    write_parameters,
)
from skinfluence.estimators.engine import Engine
from skinfluence.estimators.left_out import LeftOutWrapper
from skinfluence.estimators.questions import check_targets, objective_over
from skinfluence.estimators.rows import masks_given, refuse_too_much, rows_given
from skinfluence.estimators.scoring import aggregated, check_aggregate
from skinfluence.inspection import Certificate
from skinfluence.losses import encode_labels
from skinfluence.objectives import LinearObjective, NetworkObjective, Objective
from skinfluence.removal import Counterfactuals, Edits
from skinfluence.retraining import take_params, take_rows

Array = npt.NDArray[Any]


class EditingWrapper(LeftOutWrapper):
    """A fitted wrapper that answers about other training data."""

    certificate_: Certificate

    def group_influence(
        self,
        groups: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | None = None,
        aggregate: str | None = None,
    ) -> Array:
        """Predict what removing each group of training rows, as a whole, would do to a target.

        "newton" is the joint step with the curvature of the group taken out,

            theta_without_S - theta = (H - J_S' G_S J_S)^-1 (J_S' a_S + E z_S),

        by a down-date of the factor for groups smaller than the number of parameters, with the
        curvature formed anew for larger ones and for class weights that move. Groups whose step a
        look at the gradient there does not confirm go on to their exact minimum. "first_order"
        is additive: the sum of the first-order scores of the rows, which under-estimates large
        groups. ``class_weight="balanced"`` is re-weighed.

        Parameters
        ----------
        groups : array-like of shape (n_train,), or masks of shape (n_groups, n_train)
            A label for every row (a column per label, in the order of ``numpy.unique(groups)``),
            or boolean masks, dense or sparse, which may overlap.
        X_test, y_test, target, method, output, aggregate
            As in `influence_scores`.

        Returns
        -------
        ndarray of shape (n_test, n_groups), or (n_groups,) with `aggregate`
            Change of the target, in its own unit, when all rows of the group are removed. For the
            loss: positive = the group helps.

        Raises
        ------
        ValueError
            For groups of another shape, one mask that could be labels, groups that take away every
            row or every row of a class, and as in `influence_scores`.
        MemoryError
            As in `influence_scores`.

        Warns
        -----
        ConvergenceWarning
            Naming groups without which no minimum was reached.
        UserWarning
            Naming groups without which there is more than one.

        References
        ----------
        Koh, P. W., Ang, K.-S., Teo, H. & Liang, P. (2019). On the accuracy of influence functions
        for measuring group effects. NeurIPS. arXiv:1905.13289.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> model.group_influence(["a", "b", "a", "b"], [[1.0]], [1.0]).round(2)
        array([[ 0.54, -0.35]])
        """
        check_aggregate(aggregate)
        self._method(method)
        masks, names = masks_given(groups, self._n_train)
        self._refuse_too_much(masks, names)

        def edits(engine: Engine, used: str) -> Counterfactuals:
            return engine.groups(masks, names, used)

        scorer = self._scorer(
            X_test, y_test, target=target, method=method, output=output, edits=edits
        )
        return aggregated(scorer, aggregate)

    def addition_influence(
        self,
        X_new: Any,
        y_new: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | None = None,
        aggregate: str | None = None,
    ) -> Array:
        """Predict what adding each new row to the training data would do to a target.

        The removal of a row of negative weight: with a and G those of the row that comes, "newton"
        moves the parameters by -H^-1 J' (I + G Q)^-1 a. A new row has sample weight 1, times its
        class weight.

        Parameters
        ----------
        X_new : array-like of shape (n_new, n_features)
            As the inner estimator takes them; transformers of a Pipeline stay as fitted.
        y_new : array-like of shape (n_new,) or (n_new, n_outputs)
            Of known classes.
        X_test, y_test, target, method, output, aggregate
            As in `influence_scores`.

        Returns
        -------
        ndarray of shape (n_test, n_new), or (n_new,) with `aggregate`
            Target with the row minus target without it, in its own unit. For the loss: positive =
            adding the row harms.

        Raises
        ------
        ValueError
            For new rows and targets the model does not know, and as in `influence_scores`.
        MemoryError
            As in `influence_scores`.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> model.addition_influence([[1.0], [3.0]], [1.0, 9.0], [[1.0]], [1.0]).round(2)
        array([[-0.14,  0.18]])
        """
        check_aggregate(aggregate)
        self._method(method)
        if y_new is None:
            raise ValueError(
                "y_new=None was given; a row that comes to the training data needs its target. "
                "Pass one for every row of X_new."
            )
        self._refuse_products("addition_influence")
        base = self._objective()
        objective_over(self, base, X_new, y_new, kind="new")
        if isinstance(base, LinearObjective):
            base = base.spanning(features_of(self.estimator_, X_new))
        coming = objective_over(self, base, X_new, y_new, kind="new")
        coming = self._weighed_anew(coming, y_new)

        def edits(engine: Engine, used: str) -> Counterfactuals:
            moved = coming.at(engine.whole.theta)
            return engine.change(Edits(engine.whole, leaving=False, coming=moved), used)

        scorer = self._scorer(
            X_test, y_test, target=target, method=method, output=output, edits=edits, whole=base
        )
        return aggregated(scorer, aggregate)

    def relabel_influence(
        self,
        y_new: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | None = None,
        aggregate: str | None = None,
    ) -> Array:
        """Predict what giving each training row another target, one at a time, would do.

        The row leaves and comes back with its new target and the same sample weight; its class
        weight is that of the new class. Where the curvature of the loss does not depend on the
        target (squared error, log loss) "newton" moves the parameters by H^-1 J' (a - a_new).

        Parameters
        ----------
        y_new : array-like of shape (n_train,) or (n_train, n_outputs)
            One target per training row, of known classes; where it is the old one, nothing moves.
        X_test, y_test, target, method, output, aggregate
            As in `influence_scores`.

        Returns
        -------
        ndarray of shape (n_test, n_train), or (n_train,) with `aggregate`
            Target after the change minus before, in its own unit. For the loss: positive =
            relabelling the row harms.

        Raises
        ------
        ValueError
            For targets that are unknown or not one per training row, and as in
            `influence_scores`.
        MemoryError
            As in `influence_scores`.

        Warns
        -----
        UserWarning
            For training rows that are the only ones of their class.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> model.relabel_influence([0.0, 1.0, 2.0, 3.0], [[1.0]], [1.0]).round(2)
        array([[ 0.  ,  0.  ,  0.  , -0.34]])
        """
        check_aggregate(aggregate)
        self._method(method)
        given = len(y_new) if np.ndim(y_new) > 0 else 1
        if given != self._n_train:
            raise ValueError(
                f"y_new with {given} target(s) was given; one for every training row, "
                f"{self._n_train}, is accepted. Repeat the old target where none is to change."
            )
        check_targets(y_new, self._training.y, classifier=is_classifier(self), kind="new")
        base = self._objective()
        counted = base.weighting.counted()
        counts = counted.sum(axis=1) if counted.shape[1] else np.ones(base.n_samples)
        unit, old = self._class_weights()
        new = encode_labels(y_new, self.classes_) if len(unit) > 1 else old
        w = base.sample_weight * unit[new] / unit[old]
        coming = base.on(self._training.X, y_new)
        coming = coming.weighing(w, base.weighting.joined(new, counts))

        def edits(engine: Engine, used: str) -> Counterfactuals:
            moved = coming.at(engine.whole.theta)
            return engine.change(Edits(engine.whole, leaving=True, coming=moved), used)

        scorer = self._scorer(
            X_test, y_test, target=target, method=method, output=output, edits=edits
        )
        self._warn_of_lonely_rows()
        return aggregated(scorer, aggregate)

    def without(self, rows: Any, *, method: str = "exact") -> Self:
        """Return a fitted wrapper as if its final step had never seen these rows.

        Deletion without retraining: the parameters are moved to the optimum of the rows that stay
        ("exact", to rounding) or one step towards it, and written into a copy of the fitted
        estimator. Transformers of a Pipeline stay as they are, and have seen the rows.

        Parameters
        ----------
        rows : int, array-like of int, or boolean mask of shape (n_train,)
            Positions in the training data. The rows that stay are numbered anew in their order.
        method : {"exact", "newton", "first_order", "auto"}, default="exact"

        Returns
        -------
        InfluenceClassifier or InfluenceRegressor
            Its ``estimator_`` is a plain scikit-learn copy of the fitted one, ready to predict and
            to pickle; its ``certificate_`` holds the gradient norm that remains, and the one
            before. More rows can be removed from it.

        Raises
        ------
        ValueError
            For rows that are unknown, repeated or none, all of them, or all of a class; a mask of
            another length; and where the rows that stay have no finite optimum.
        TypeError
            For a registered estimator whose parameters cannot be written back.

        Warns
        -----
        UserWarning
            Where the rows that stay have more than one optimum; the nearest is taken.

        References
        ----------
        Guo, C., Goldstein, T., Hannun, A. & van der Maaten, L. (2020). Certified data removal from
        machine learning models. ICML. arXiv:1911.03030.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.linear_model import Ridge
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y).without([3])
        >>> bool(np.isclose(model.estimator_.coef_, Ridge().fit(X[:3], y[:3]).coef_))
        True
        >>> model.certificate_.gradient_norm < 1e-12
        True
        """
        used = self._method(method)
        self._refuse_products("without")
        self._refuse_held_out()
        gone = rows_given(rows, self._n_train)
        mask = np.zeros((1, self._n_train), dtype=bool)
        mask[0, gone] = True
        masks, _ = masks_given(mask, self._n_train)
        self._refuse_too_much(masks, None)
        engine = self._engine(used)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                removal = engine.groups(masks, None, used)
                change = engine.spread(removal.changes(np.array([0])).T, removal)[0]
                removal.report()
            except ConvergenceWarning as error:
                if not isinstance(engine.objective, LinearObjective):
                    raise ValueError(f"{error} Or keep some of the rows.") from error
                raise ValueError(
                    f"Without these {len(gone)} row(s) no finite optimum was found: the rows that "
                    "stay may be separable, or nearly so, without a penalty. Fit with a stronger "
                    "penalty (a smaller C, a larger alpha), or keep some of the rows."
                ) from error
        kept = np.delete(np.arange(self._n_train), gone)
        out = self._copy_of(kept)
        before = self._after(engine.whole, masks, kept)
        moved = before.at(engine.whole.theta + change)
        write_parameters(final_step(out.estimator_), moved, out._training.X)
        if (record := recorded(out.estimator_)) is not None:
            record.checkpoints_ = []  # of a training on other rows
        after = out._objective()
        if after.has_no_optimum():
            raise ValueError(
                f"Without these {len(gone)} row(s) the rows that stay are separated, and larger "
                "coefficients always fit better: there is no finite optimum. Fit with a penalty "
                "(a finite C), or keep some of the rows."
            )
        norms = [float(np.linalg.norm(one.gradient())) for one in (after, before)]
        norms[1] /= float(before.l2.sum() / after.l2.sum()) if np.any(after.l2 > 0) else 1.0
        out.certificate_ = Certificate(used, len(gone), *norms)
        return out

    def _refuse_products(self, question: str) -> None:
        """Refuse rows that are products with the training rows, of which there would be others."""
        if get_tags(self._inner()).input_tags.pairwise:
            raise ValueError(
                f"{question} was asked of a model with a precomputed kernel, whose rows are their "
                "products with the training rows: with other training rows they are others. Pass "
                "the kernel as a function (kernel=callable), or refit."
            )

    def _refuse_held_out(self) -> None:
        """Refuse deletion where some rows did not train, which a copy could not know."""
        base = self._objective()
        kept_out = np.any((base.sample_weight == 0) & (self._given_weights() > 0))
        if isinstance(base, NetworkObjective) and kept_out:
            raise ValueError(
                f"without was asked of {type(final_step(self.estimator_)).__name__}("
                "early_stopping=True), which holds rows out of the fit: of other rows it would "
                "hold out others. Fit with early_stopping=False."
            )

    @property
    def _n_train(self) -> int:
        return self._objective().n_samples

    def _refuse_too_much(self, masks: Any, names: Array | None) -> None:
        one_label = is_classifier(self) and np.ndim(self._training.y) == 1
        y = self._training.y if one_label else None
        refuse_too_much(masks, y, self._training.sample_weight, names)

    def _copy_of(self, kept: Array) -> Self:
        """Return a wrapper over some of the training rows, its estimator still as it was."""
        out = clone(self)
        data = self._training
        weights = None if data.sample_weight is None else take_rows(data.sample_weight, kept)
        out._training = Training(take_rows(data.X, kept), take_rows(data.y, kept), weights)
        out._raw = Training(take_rows(self._raw.X, kept), take_rows(self._raw.y, kept), None)
        out._fit_params = take_params(self._fit_params, kept, self._n_train)
        out._routing = self._routing
        out.estimator_ = deepcopy(self.estimator_)
        base = self._objective()
        if isinstance(base, LinearObjective) and is_smoothed(final_step(self.estimator_)):
            out.temperature = base.loss.temperature  # else it would be read off the moved model
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(out, name, getattr(self, name))
        copied: Self = out
        return copied

    def _after(self, base: Objective, masks: Any, kept: Array) -> Objective:
        """Return the objective over the rows that stay, with the weights they then have."""
        weighting = base.weighting
        ratios = weighting.ratios(masks @ weighting.counted())
        w = weighting.all_weights(ratios, base.sample_weight)[:, 0]
        return base.rows(kept).weighing(w[kept])

    def _weighed_anew(self, coming: Objective, y: Any) -> Objective:
        """Return rows that may come, each of sample weight 1, as the training rows are weighed."""
        base = self._objective()
        unit, old = self._class_weights()
        given = self._given_weights()
        counted = (given > 0) & (base.sample_weight > 0)
        if not np.allclose(base.sample_weight[counted], (given * unit[old])[counted]):
            raise ValueError(
                f"{type(final_step(self.estimator_)).__name__} weighs its training rows one by one "
                "(alpha per row), and says nothing of the weight of a new one. Use one alpha for "
                "all rows."
            )
        codes = encode_labels(y, self.classes_) if len(unit) > 1 else np.zeros(len(y), dtype=int)
        ones = np.ones(coming.n_samples)
        return coming.weighing(unit[codes], base.weighting.joined(codes, ones))

    def _class_weights(self) -> tuple[Array, Array]:
        """Return what a row of sample weight 1 weighs in each class, and each row's class.

        Read off the rows there are; one class where weights know of none.
        """
        base, given = self._objective(), self._given_weights()
        codes = np.zeros(base.n_samples, dtype=int)
        n_classes = 1
        if getattr(final_step(self.estimator_), "class_weight", None) is not None:
            codes, n_classes = encode_labels(self._training.y, self.classes_), len(self.classes_)
        unit = np.ones(n_classes)
        counted = np.flatnonzero((given > 0) & (base.sample_weight > 0))
        unit[codes[counted]] = base.sample_weight[counted] / given[counted]
        return unit, codes

    def _given_weights(self) -> Array:
        given, n = self._training.sample_weight, self._n_train
        return np.ones(n) if given is None else np.asarray(given, dtype=np.float64)
