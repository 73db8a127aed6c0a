"""What a wrapper can be asked: each question is a function over its fitted estimator."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import clone

from skinfluence.estimators.again import again
from skinfluence.estimators.base import FittedWrapper
from skinfluence.inspection import (
    AdditionInfluence,
    Certificate,
    Diagnostics,
    GroupInfluence,
    Influence,
    InputInfluence,
    LeaveOneOut,
    LeaveOneOutCheck,
    ParameterInfluence,
    RelabelInfluence,
    Report,
    SelfInfluence,
)
from skinfluence.questions import (
    check,
    deletion,
    editing,
    embedding,
    input_influence,
    left_out,
    prediction_weights,
    report,
    scoring,
)
from skinfluence.questions.scoring import Asked
from skinfluence.typing import Array


class InfluenceWrapper(FittedWrapper):
    """A fitted wrapper that answers questions."""

    certificate_: Certificate

    def influence_scores(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | str | None = None,
        aggregate: Any = None,
        test_weight: Any = None,
    ) -> Array:
        """Predict what removing each training row would do to a target at each test row.

        With a_i = w_i dl_i/deta, H the curvature of the summed objective and J the Jacobian of the
        raw predictions, the parameters move by H^-1 J_i' a_i ("first_order") or
        H^-1 J_i' (I - G_i Q_i)^-1 a_i ("newton", where the row's own curvature leaves with it), or
        to the minimum without the row ("exact", by iteration, for all rows of a block at once). Of
        trees the parameters are the values of the leaves, computed again over the same splits.

        Parameters
        ----------
        X_test : array-like of shape (n_test, n_features)
            As the inner estimator takes them: raw rows for a Pipeline.
        y_test : array-like of shape (n_test,), optional
            Needed for ``target="loss"``. For class targets it chooses the class; without it, the
            class the model predicts.
        target : str
            "loss"; "decision_function", "predict_proba" (classifiers); "predict",
            "linear_predictor" (regressors).
        method : {"auto", "first_order", "newton", "exact", "tracin"}, optional
            The constructor's by default. "tracin" (Pruthi et al. 2020) scores what the row's own
            gradient steps did on the way to the fitted parameters, sum_k step_k w_i g_i(theta_k)'
            g_t(theta_k), for an estimator in a `RecordedTraining`.
        output : int or str, optional
            Which output of a regressor with several, or which label of a multi-label classifier,
            by position or by name. Names are those of the columns of y; of a target with several
            classes "species = setosa".
        aggregate : {"mean", "sum"}, array-like of shape (n_test,), str or list of str, optional
            Over the test rows; a label for every test row, or a column of their frame (or several),
            gives the mean of each group of them, in the order of ``numpy.unique(aggregate)``.
            The name of `y_test` is a column, too.
        test_weight : array-like of shape (n_test,), optional
            Weights of the test rows in `aggregate`, where all count alike otherwise.

        Returns
        -------
        ndarray of shape (n_test, n_train), or (n_train,) with "mean" and "sum"
            Change of the target, in its own unit, when the training row is removed with its whole
            weight. For the loss: positive = the row helps, negative = it harms.

        Raises
        ------
        ValueError
            For input the model does not know (features, labels, targets), and where the fitted
            model has no unique optimum to differentiate.
        MemoryError
            Before allocating a curvature that does not fit.

        Warns
        -----
        ConvergenceWarning
            Where the fit stopped away from its stationary point, by more than the removal of a
            typical row.
        UserWarning
            For training rows that are the only ones of their class, whose scores mean nothing.

        References
        ----------
        Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence
        functions. ICML. arXiv:1703.04730.
        Pregibon, D. (1981). Logistic regression diagnostics. Annals of Statistics 9(4).
        doi:10.1214/aos/1176345513.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> model.influence_scores([[1.0]], [1.0]).round(2)
        array([[-0.29,  0.34,  0.73, -0.35]])
        """
        asked = Asked(X_test, y_test, target, method, output, aggregate, test_weight)
        return scoring.influence_scores(self._current(), asked)

    def influence(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | str | None = None,
        aggregate: Any = None,
        test_weight: Any = None,
        top: int | None = None,
    ) -> Influence:
        """Return the scores with rankings, labels of the training frame, a table and a plot.

        Parameters
        ----------
        X_test, y_test, target, method, output, aggregate, test_weight
            As in `influence_scores`, with the same errors. With ``aggregate=groups`` the result
            has a line for every group of test rows, and `Influence.gap` for two of them.
        top : int, optional
            Keep only this many rows at either end for each test row: memory O(n_test * top).

        Returns
        -------
        Influence

        Raises
        ------
        ValueError
            For a `top` that is no number of rows, and as in `influence_scores`.
        MemoryError
            As in `influence_scores`.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> influence = model.influence([[1.0]], [1.0])
        >>> influence.helpful(k=1), influence.harmful(k=1)
        (array([[2]]), array([[3]]))
        """
        asked = Asked(X_test, y_test, target, method, output, aggregate, test_weight)
        return scoring.influence(self._current(), asked, top)

    def leave_one_out_check(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        rows: Any = None,
        positions: Any = None,
        labels: Any = None,
        select: str = "extreme",
        target: str = "loss",
        method: str | None = None,
        output: int | str | None = None,
        refit: str | None = None,
        random_state: Any = None,
    ) -> LeaveOneOutCheck:
        """Hold scores against real retraining: remove rows, refit, measure, compare.

        With q_t(model) the target at test row t,

            predicted[t, i] = score of training row i on t
            actual[t, i] = q_t(judge fitted without row i) - q_t(judge fitted on all rows)

        The judge is a clone of the user's own estimator, with the tightest solver scikit-learn has
        for the same objective; what was changed is in the summary. Refits run in ``n_jobs``
        processes; callbacks of scikit-learn are for the user's own fit, and not called by them.

        Trees and ensembles of trees are not fitted again: their splits stay, which is what scores
        predict, and all leaves are computed again without the row, tree after tree, by plain loops
        whose arithmetic is their own. A fit without the row would choose other splits, mostly
        by chance: with one other row missing too, its effect is another.

        Parameters
        ----------
        X_test, y_test
            As in `influence_scores`, with the same errors.
        rows : int, label, array-like, mask or slice, optional
            How many training rows to remove at most, one at a time, or which, as in `without`;
            30 where nothing is said.
        positions, labels : array-like or one row, optional
            In place of `rows`, as in `without`.
        select : {"extreme", "random"}, default="extreme"
            The rows with the largest scores over all tests, or any.
        target, method, output
            As in `influence_scores`.
        refit : {"final", "pipeline", "proximal", "structure"}, optional
            "structure" computes the leaves of trees again over the same splits: the default of
            trees and ensembles of trees, which have no other. "final", the default of all other
            models, refits the final step on the features as they are, which is what scores
            predict; "pipeline" transformers and all, and the summary says what these did. A network
            goes on from its fitted weights: a cold restart ends in another minimum, and measures
            something else. "proximal" holds scores of a network that is not at a minimum against
            the minimum of its proximal objective (Bae et al. 2022), with no refit at all.
        random_state : int, RandomState or None
            For ``select="random"``.

        Returns
        -------
        LeaveOneOutCheck
            Predicted and actual changes, in the unit of the target; for the loss positive = the
            row helps. Slope and relative error have no unit. `verdict` says in one line what the
            scores are fit for.

        Raises
        ------
        ValueError
            For input that `influence_scores` refuses; for rows that `without` refuses, or the
            only ones of their class; for ``refit="pipeline"`` of frozen transformers; where no
            single plain estimator repeats a cross-validated fit.
        MemoryError
            As in `influence_scores`.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> check = model.leave_one_out_check([[1.0]], [1.0], rows=[1, 3])
        >>> check.actual.round(2)
        array([[ 0.34, -0.35]])
        >>> bool(np.allclose(check.predicted, check.actual))
        True
        """
        asked = Asked(X_test, y_test, target, method, output)
        return check.leave_one_out_check(
            self._current(),
            asked,
            rows=rows,
            positions=positions,
            labels=labels,
            select=select,
            refit=refit,
            random_state=random_state,
        )

    def leave_one_out(
        self, *, method: str | None = None, return_parameters: bool = False
    ) -> LeaveOneOut:
        """Return every training row's loss and prediction by the model that never saw it.

        One model per row, none of them fitted: with ``method="exact"`` all are iterated to their
        minimum at once, a block of rows at a time; with "newton" each is one step away
        (approximate leave-one-out cross-validation),

            eta_without_i(x_i) = eta_i + Q_i (I - G_i Q_i)^-1 a_i,

        for K = 1 and squared errors the textbook y_i - r_i / (1 - h_i). Transformers of a Pipeline
        are frozen: they have seen every row. So are the splits of trees, unless rows are left out
        of bag, and their losses are too small for that: the result says so, and is compared with
        none.

        Parameters
        ----------
        method : {"exact", "newton", "first_order", "out_of_bag", "auto"}, optional
            "exact" by default, whatever the constructor has. Of forests that draw their rows
            "out_of_bag": a row by the trees that did not draw it, which were grown without it.
        return_parameters : bool, default=False
            Keep the parameters of every model, an array (n_train, n_params).

        Returns
        -------
        LeaveOneOut
            A line per row. ``score()`` is the leave-one-out risk, in the unit of the loss (half the
            squared error); smaller is better. ``compare`` holds two models against each other,
            `leave_one_out_curve` many values of a parameter.

        Raises
        ------
        ValueError
            For a model without raw predictions, and where it has no unique optimum.
        MemoryError
            Before allocating parameters that do not fit.

        Warns
        -----
        ConvergenceWarning
            Naming rows without which no minimum was reached.
        UserWarning
            For training rows that are the only ones of their class.

        References
        ----------
        Allen, D. M. (1974). The relationship between variable selection and data augmentation and
        a method for prediction. Technometrics 16(1). doi:10.1080/00401706.1974.10489157.
        Rad, K. R. & Maleki, A. (2020). A scalable estimate of the out-of-sample prediction error
        via approximate leave-one-out cross-validation. JRSS B 82(4). doi:10.1111/rssb.12374.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.preprocessing import scale
        >>> from skinfluence import InfluenceClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> left_out = InfluenceClassifier().fit(scale(X), y).leave_one_out()
        >>> round(left_out.score(), 3), round(left_out.standard_error(), 3)
        (0.142, 0.016)
        >>> left_out.to_frame().head(3).round(2)
           row  position  given  probability  predicted  loss
        0   70        70      1         0.39          2  0.94
        1  133       133      2         0.39          1  0.94
        2   83        83      1         0.41          2  0.88
        """
        return left_out.leave_one_out(
            self._current(), method=method, return_parameters=return_parameters
        )

    def self_influence(self, *, method: str | None = None) -> SelfInfluence:
        """Return what removing each training row does to its own loss.

        Large for rows that only they themselves explain: outliers, mislabelled rows.

            l(y_i, eta_without_i(x_i)) - l(y_i, eta_i);      first order: a_i' Q_i dl_i/deta

        Parameters
        ----------
        method : {"auto", "first_order", "newton", "exact", "out_of_bag", "tracin"}, optional
            The constructor's by default; "out_of_bag", which is "auto" of forests that draw their
            rows, as in `leave_one_out`; "tracin", ``sum_k step_k w_i |g_i(theta_k)|^2``, as in
            `influence_scores`.

        Returns
        -------
        SelfInfluence
            Its scores, of shape (n_train,), in the unit of the loss, the row's weight left out of
            it; never negative, but for class weights that move and the rounding of zero.

        Raises
        ------
        ValueError
            Where the fitted model has no unique optimum.

        Warns
        -----
        ConvergenceWarning, UserWarning
            As in `leave_one_out`.

        References
        ----------
        Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence
        functions. ICML, section 5.4. arXiv:1703.04730.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> InfluenceRegressor().fit(X, y).self_influence().scores.round(2)
        array([ 0.76,  0.34,  2.33, 19.1 ])
        """
        return left_out.self_influence(self._current(), method=method)

    def parameter_influence(
        self, *, coefficients: Any = None, method: str | None = None
    ) -> ParameterInfluence:
        """Return what removing each training row does to the coefficients, by their names.

            theta_without_i - theta = H^-1 (J_i' c_i + E z_i),

        c_i = a_i for "first_order" and (I - G_i Q_i)^-1 (a_i + G_i J_i H^-1 E z_i) for "newton",
        E z_i what class weights that move push along; "exact" goes on to the minimum.

        Parameters
        ----------
        coefficients : str, int, or several, optional
            Names or positions; all by default. "age" is the coefficient of that feature, in every
            class where there are several, "setosa: age" that of one class. Of some coefficients
            never more than these are kept, and "first_order" and "newton" solve once for each in
            place of once for each row: the way to ask a model with many.
        method : {"auto", "first_order", "newton", "exact"}, optional
            The constructor's by default.

        Returns
        -------
        ParameterInfluence
            ``changes`` of shape (n_train, n_coefficients) with their names, in the units of the
            parameters, class-major: [coef_0, intercept_0, coef_1, ...], on the features the final
            step sees. statsmodels and R's ``dfbeta`` of an ``lm`` have the opposite sign.

        Raises
        ------
        ValueError
            For coefficients that the model has not, and where it has no unique optimum.
        MemoryError
            Before allocating an array that does not fit.

        Warns
        -----
        ConvergenceWarning, UserWarning
            As in `leave_one_out`.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> InfluenceRegressor().fit(X, y).parameter_influence().to_frame().round(2)
           row  position    x0  intercept
        0    3         3 -1.67       0.83
        1    0         0  0.33      -0.83
        2    1         1 -0.10       0.44
        3    2         2  0.25       0.38
        """
        return left_out.parameter_influence(
            self._current(), coefficients=coefficients, method=method
        )

    def diagnostics(self, *, method: str | None = None, dispersion: str = "family") -> Diagnostics:
        """Return leverage, studentised residuals, DFBETAS, DFFITS, Cook's distance of every row.

        And COVRATIO, and the standard errors of the parameters. Their definitions, for penalised
        models and other losses too, are those of `Diagnostics`.

        Parameters
        ----------
        method : {"auto", "first_order", "newton", "exact"}, optional
            How the removals are computed; the constructor's by default.
        dispersion : {"family", "pearson"}
            By how much targets scatter more than the family says. "family" is 1 for log losses and
            Poisson and estimated elsewhere, as in R and statsmodels; "pearson" is estimated for
            all, from the squared Pearson residuals.

        Returns
        -------
        Diagnostics

        Raises
        ------
        ValueError
            For a model that is not linear in its parameters, and another `dispersion`.
        MemoryError
            As in `parameter_influence`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.linear_model import LinearRegression
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor(LinearRegression()).fit(X, y)
        >>> model.diagnostics().hat_diagonal.round(2)
        array([0.7, 0.3, 0.3, 0.7])
        """
        return left_out.diagnostics(self._current(), method=method, dispersion=dispersion)

    def group_influence(
        self,
        groups: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | str | None = None,
        aggregate: Any = None,
        test_weight: Any = None,
    ) -> GroupInfluence:
        """Predict what removing each group of training rows, as a whole, would do to a target.

        "newton" is the joint step with the curvature of the group taken out,

            theta_without_S - theta = (H - J_S' G_S J_S)^-1 (J_S' a_S + E z_S),

        by a down-date of the factor for groups smaller than the number of parameters, with the
        curvature formed anew for larger ones and for class weights that move. Groups whose step a
        look at the gradient there does not confirm go on to their exact minimum. "first_order"
        is additive: the sum of the first-order scores of the rows, which under-estimates large
        groups. ``class_weight="balanced"`` is re-weighed (of trees the weights stay).

        Parameters
        ----------
        groups : str, list of str, array-like of shape (n_train,), or masks (n_groups, n_train)
            A column of the training rows or their target by its name, or several, whose values
            together are the label of a row; a label for every row (groups in the order of
            ``numpy.unique(groups)``); or boolean masks, dense or sparse, which may overlap.
        X_test, y_test, target, method, output, aggregate, test_weight
            As in `influence_scores`.

        Returns
        -------
        GroupInfluence
            Its scores, of shape (n_test, n_groups): change of the target, in its own unit, when all
            rows of the group are removed. For the loss: positive = the group helps. Also labels
            and sizes of the groups.

        Raises
        ------
        ValueError
            For groups of another shape, columns that are not there, labels that are missing, or
            under the labels of the training frame in another order; groups that take away every
            row or every row of a class; and as in `influence_scores`.
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
        >>> model.group_influence(["a", "b", "a", "b"], [[1.0]], [1.0]).scores.round(2)
        array([[ 0.54, -0.35]])
        """
        asked = Asked(X_test, y_test, target, method, output, aggregate, test_weight)
        return editing.group_influence(self._current(), groups, asked)

    def addition_influence(
        self,
        X_new: Any,
        y_new: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | str | None = None,
        aggregate: Any = None,
        test_weight: Any = None,
    ) -> AdditionInfluence:
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
        X_test, y_test, target, method, output, aggregate, test_weight
            As in `influence_scores`.

        Returns
        -------
        AdditionInfluence
            Its scores, of shape (n_test, n_new): target with the row minus target without it, in
            its own unit. For the loss: positive = adding the row would harm.

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
        >>> model.addition_influence([[1.0], [3.0]], [1.0, 9.0], [[1.0]], [1.0]).scores.round(2)
        array([[-0.14,  0.18]])
        """
        asked = Asked(X_test, y_test, target, method, output, aggregate, test_weight)
        return editing.addition_influence(self._current(), X_new, y_new, asked)

    def relabel_influence(
        self,
        y_new: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | str | None = None,
        aggregate: Any = None,
        test_weight: Any = None,
    ) -> RelabelInfluence:
        """Predict what giving each training row another target, one at a time, would do.

        The row leaves and comes back with its new target and the same sample weight; its class
        weight is that of the new class. Where the curvature of the loss does not depend on the
        target (squared error, log loss) "newton" moves the parameters by H^-1 J' (a - a_new).

        Parameters
        ----------
        y_new : array-like of shape (n_train,) or (n_train, n_outputs)
            One target per training row, of known classes; where it is the old one, nothing moves.
        X_test, y_test, target, method, output, aggregate, test_weight
            As in `influence_scores`.

        Returns
        -------
        RelabelInfluence
            Its scores, of shape (n_test, n_train): target after the change minus before, in its own
            unit. For the loss: positive = relabelling the row would harm.

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
        >>> model.relabel_influence([0.0, 1.0, 2.0, 3.0], [[1.0]], [1.0]).scores.round(2)
        array([[ 0.  ,  0.  ,  0.  , -0.34]])
        """
        asked = Asked(X_test, y_test, target, method, output, aggregate, test_weight)
        return editing.relabel_influence(self._current(), y_new, asked)

    def without(
        self,
        rows: Any = None,
        *,
        positions: Any = None,
        labels: Any = None,
        method: str = "exact",
        transformers: str = "frozen",
    ) -> Self:
        """Return a fitted wrapper as if its final step had never seen these rows.

        Deletion without retraining: the parameters are moved to the optimum of the rows that stay
        ("exact", to rounding) or one step towards it, and written into a copy of the fitted
        estimator. Transformers of a Pipeline stay as they are, and have seen the rows, unless
        ``transformers="refit"`` fits them anew. SVC and SVR are the exception: scikit-learn fits
        them anew on the rows that stay, gamma="scale" frozen to its number. Trees keep their
        splits, which were chosen with the rows; their leaves are those of the rows that stay.

        ``print(model.certificate_.summary())`` says which rows are gone, how near the model is to
        one without them, and what still contains them. Deletions may follow each other: each goes
        to the optimum of the rows that stay, so that "exact" ones add up to a refit without all of
        them, and the last certificate accounts for all.

        Parameters
        ----------
        rows : int, label, array-like, boolean mask of shape (n_train,) or slice, optional
            Masks and slices are positions in the training data. Anything that is no integer, and
            a pandas Index, is a label of the frame that was fitted. Integers are positions, unless
            that frame has integer labels other than 0 to n_train - 1 (after a split, or after rows
            were left out): then they could be either, and an error asks for the next two.
        positions, labels : array-like or one row, optional
            In place of `rows`, to say which of the two is meant. The rows that stay keep their
            labels and are numbered anew in their order.
        method : {"exact", "newton", "first_order", "auto"}, default="exact"
        transformers : {"frozen", "refit"}, default="frozen"
            "refit" gives the model as if the whole Pipeline had been fitted without the rows:
            clones of all transformers, of the target too, are fitted to the rows that stay,
            samplers draw anew, and the final step goes to its optimum over what they give. What a
            search or a CV estimator chose is kept, and ``estimator_`` is then the plain estimator
            with it. A network goes on from its weights, to the minimum next to them.

        Returns
        -------
        InfluenceClassifier or InfluenceRegressor
            Its ``estimator_`` is a plain scikit-learn copy of the fitted one, ready to predict and
            to pickle; its ``certificate_`` is a `Certificate`. More rows can be removed from it.

        Raises
        ------
        ValueError
            For rows that are unknown, repeated or none, all of them, or all of a class; integers
            that could be labels or positions, and labels that several rows have; a mask of another
            length; and where the rows that stay have no finite optimum. With
            ``transformers="refit"`` for a Pipeline that is frozen as a whole, methods but "exact",
            and networks whose transformers give another number of features without the rows.
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
        fitted, certificate = deletion.without(
            self._current(),
            rows,
            positions=positions,
            labels=labels,
            method=method,
            transformers=transformers,
            previous=self.__dict__.get("certificate_"),
        )
        smaller = clone(self).set_params(temperature=fitted.options.temperature)
        smaller._take(fitted)
        smaller.certificate_ = certificate
        copied: Self = smaller
        return copied

    def input_influence(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        rows: Any = None,
        positions: Any = None,
        labels: Any = None,
        target: str = "loss",
        output: int | str | None = None,
    ) -> InputInfluence:
        """Differentiate a target at each test row in the features of training rows.

        How the target moves as a feature of a training row does, the row staying in the training
        data and the final step fitted again:

            d target(theta_hat(x_i)) / dx_i = -grad_t' H^-1 d2(w_i l_i)/dtheta dx_i,

        grad_t the gradient of the target in theta. The test row itself stays as it is, also where
        it equals a training row. For a small change d of the features the target changes by about
        the inner product with d.

        The x_i are features as the final step sees them: transformers of a Pipeline are frozen,
        and derivatives are in what they gave. Hyper-parameters and the temperature of a smoothed
        loss are frozen as well. Under an l1 penalty the coefficients that are 0 stay 0, and
        features without a coefficient have derivative 0.

        Parameters
        ----------
        X_test, y_test
            As in `influence_scores`.
        rows : int, label, array-like, mask or slice, optional
            Training rows, as in `without`; the result follows their order.
        positions, labels : array-like or one row, optional
            In place of `rows`, as in `without`.
        target, output
            As in `influence_scores`.

        Returns
        -------
        InputInfluence
            ``derivatives`` of shape (n_test, n_rows, n_features): target per unit of each feature
            of the final step; dense, also for sparse features. For the loss: positive = the
            feature, made larger, harms.

        Raises
        ------
        ValueError
            For models that see rows through a kernel only, and others without these derivatives;
            for rows that `without` refuses; and as in `influence_scores`.
        MemoryError
            Where the result does not fit, before it is allocated, and as in `influence_scores`.

        References
        ----------
        Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence
        functions. ICML. arXiv:1703.04730. Section 2.2.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> influence = model.input_influence([[1.0]], rows=[0, 3], target="predict")
        >>> influence.derivatives.round(2)
        array([[[-0.92],
                [-0.5 ]]])
        """
        asked = Asked(X_test, y_test, target, "first_order", output)
        return input_influence.input_influence(
            self._current(), asked, rows, positions=positions, labels=labels
        )

    def prediction_weights(self, X_test: Any) -> Array:
        """Return how much of each prediction is the target of each training row.

        For predictions that are linear in the training targets over the same splits: of trees and
        forests, the share of a row in the leaves of a test row, averaged over the trees,

            predict(X_test) = weights @ y,     predict_proba(X_test) = weights @ onehot(y),

        which makes a forest a mean of similar rows (Lin & Jeon 2006); and of boosted trees under
        squared error, where weights can be negative. They sum to 1 in each row (not under
        ``init="zero"``). To 1e-12 of the range of the targets, under HistGradientBoosting 1e-6.

        Parameters
        ----------
        X_test : array-like or sparse matrix of shape (n_test, n_features)

        Returns
        -------
        ndarray of shape (n_test, n_train)

        Raises
        ------
        ValueError
            For models whose predictions are not linear in the targets.
        MemoryError
            Before allocating weights that do not fit.

        References
        ----------
        Lin, Y. & Jeon, Y. (2006). Random forests and adaptive nearest neighbors. Journal of the
        American Statistical Association 101(474). doi:10.1198/016214505000001230.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.tree import DecisionTreeRegressor
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 8.0, 9.0])
        >>> model = InfluenceRegressor(DecisionTreeRegressor(max_depth=1)).fit(X, y)
        >>> model.prediction_weights([[0.2]])
        array([[0.5, 0.5, 0. , 0. ]])
        """
        return prediction_weights.prediction_weights(self._current(), X_test)

    def influence_embedding(
        self,
        X: Any = None,
        y: Any = None,
        *,
        target: str = "loss",
        output: int | str | None = None,
    ) -> Array:
        """Return a vector for each row, such that inner products are first-order scores.

        With H^-1 = R' R, R of shape (rank, n_params),

            test row t:  R grad_t,        training row i:  R J_i' a_i,

        so that ``embedding(X_test, y_test) @ embedding().T`` is what `influence_scores` gives for
        ``method="first_order"``: what nearest-neighbour libraries search by inner product. The
        solver decides on R. ``Cholesky`` (what "auto" is, but for models with more parameters than
        rows) is exact, with one coordinate per parameter; ``Arnoldi(rank=...)`` has a few, those
        of the largest eigenvalues of H, and says what it leaves out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Test rows. Without them, the training rows: their sample weights are
            part of them, so that a row embeds differently as a test row.
        y : array-like of shape (n_samples,), optional
        target, output
            Of test rows, as in `influence_scores`.

        Returns
        -------
        ndarray of shape (n_samples, rank)
            In no unit of its own; inner products are in that of the target.

        Raises
        ------
        ValueError
            Where the solver has no such R, and as in `influence_scores`.
        MemoryError
            Where the result does not fit, before it is allocated.

        References
        ----------
        Schioppa, A., Zablotskaia, P., Vilar, D. & Sokolov, A. (2022). Scaling up influence
        functions. AAAI 36(8). doi:10.1609/aaai.v36i8.20791.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor(method="first_order").fit(X, y)
        >>> rows, tests = model.influence_embedding(), model.influence_embedding([[1.0]], [1.0])
        >>> bool(np.allclose(tests @ rows.T, model.influence_scores([[1.0]], [1.0])))
        True
        """
        asked = Asked(X, y, target, "first_order", output)
        return embedding.influence_embedding(self._current(), asked)

    def report(
        self,
        X_test: Any,
        y_test: Any,
        *,
        test_rows: Any = None,
        groups: Any = None,
        columns: Any = None,
        top: int = 20,
        check: int | None = 30,
        audit: bool = False,
        ignore: Any = (),
    ) -> Report:
        """Return a report: what the scores are worth, what was found, which rows count.

        The check against refits comes first, with its verdict; then findings, each under a code
        (the page "Reports" of the documentation explains them); rows that help and harm all test
        rows together; single test rows; groups and labels where they are asked for; and what was
        asked of which model and data.

        Parameters
        ----------
        X_test : array-like, sparse matrix or frame of shape (n_test, n_features)
        y_test : array-like of shape (n_test,) or (n_test, n_outputs)
        test_rows : label, int, array-like, mask or slice, optional
            Test rows that are shown one by one, as `without` takes training rows: masks and slices
            are positions, anything that is no integer, and a pandas Index, is labels. By default
            the five with the largest loss.
        groups : array-like of shape (n_train,), masks, str or list of str, optional
            As in `group_influence`.
        columns : True, names, or False, optional
            Which of the rows' own columns are shown, the target among them. By default all where
            there are at most 12, else the target and the first features up to 12 in all; of a
            sparse matrix the target alone. True is all, False none; integers are positions of
            columns without names. What is in the others is neither on the page nor in Markdown or
            JSON, of test rows neither, nor are lists and arrays among the parameters of the
            estimator. Labels of rows (the index of a frame), groups, and parameters that are one
            text or number are shown whatever it is.
        top : int, default=20
            Training rows that are shown, at most, at either end.
        check : int or None, default=30
            Training rows that the check removes, one at a time, with a refit for each; 0 or None
            leaves it out.
        audit : bool, default=False
            Judge the training labels, as `LabelAudit` does.
        ignore : str or list of str, optional
            Codes of findings that are known, such as "SKI001": they count no more.

        Returns
        -------
        Report
            To read (``print``, a notebook, ``open()``), to hand on (``write_html(path)``,
            ``markdown()``) and for programs (``to_json()``); its parts are results.

        Raises
        ------
        ValueError
            Without `y_test`, for rows, groups, columns or codes that are not there, and as in
            `influence_scores`. What a model has no answer to is left out, and the reason stands
            in its place.
        MemoryError
            As in `influence_scores`.

        Warns
        -----
        ConvergenceWarning, UserWarning
            As the questions that it asks; it lists their warnings (SKI009).

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> from skinfluence import InfluenceClassifier
        >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
        >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8))
        >>> model = InfluenceClassifier(pipeline).fit(X[:400], y[:400])
        >>> report = model.report(X[400:], y[400:], columns=["mean radius", "target"])
        >>> report.check.fit_for
        'values'
        >>> [(each.code, each.severity) for each in report.findings if each.state == "found"]
        [('SKI001', 'medium')]
        """
        fitted = self._current()
        return report.report(
            fitted,
            X_test,
            y_test,
            again=again(self, fitted),
            test_rows=test_rows,
            groups=groups,
            columns=columns,
            top=top,
            check=check,
            audit=audit,
            ignore=ignore,
        )
