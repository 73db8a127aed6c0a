"""What a wrapper is asked of its training rows alone: each without itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from skinfluence.effects import left_out, self_effects
from skinfluence.estimators.questions import labels_of
from skinfluence.estimators.scoring import ScoringWrapper
from skinfluence.inspection import Diagnostics, LeaveOneOut
from skinfluence.objectives import LinearObjective, OutputObjective
from skinfluence.removal import Removal, measures
from skinfluence.retraining import take_rows

Array = npt.NDArray[Any]


class LeftOutWrapper(ScoringWrapper):
    """A fitted wrapper that answers about its training rows."""

    def leave_one_out(
        self, *, method: str = "exact", return_parameters: bool = False
    ) -> LeaveOneOut:
        """Return every training row's loss and prediction by the model that never saw it.

        One model per row, none of them fitted: with ``method="exact"`` all are iterated to their
        minimum at once, a block of rows at a time; with "newton" each is one step away
        (approximate leave-one-out cross-validation),

            eta_without_i(x_i) = eta_i + Q_i (I - G_i Q_i)^-1 a_i,

        for K = 1 and squared errors the textbook y_i - r_i / (1 - h_i). Transformers of a Pipeline
        are frozen: they have seen every row.

        Parameters
        ----------
        method : {"exact", "newton", "first_order", "auto"}, default="exact"
        return_parameters : bool, default=False
            Keep the parameters of every model, an array (n_train, n_params).

        Returns
        -------
        LeaveOneOut
            ``score()`` is the leave-one-out risk, in the unit of the loss (half the squared error);
            smaller is better.

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
        Choose C without fitting a fold:

        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.preprocessing import scale
        >>> from skinfluence import InfluenceClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> X = scale(X)
        >>> models = [InfluenceClassifier(LogisticRegression(C=C)) for C in (0.1, 1, 10)]
        >>> [round(model.fit(X, y).leave_one_out().score(), 3) for model in models]
        [0.34, 0.142, 0.076]
        """
        check_is_fitted(self)
        objective = self._raw_predictions("leave_one_out", method)
        used = self._method(method)
        self._warn_of_lonely_rows()
        removal = self._engine(used).removal(used)
        eta, parameters = left_out(removal, self.n_jobs, with_parameters=return_parameters)
        loss = objective.loss
        if not is_classifier(self):
            predictions = loss.response(eta)
            like = self.estimator_.predict(take_rows(self._raw.X, np.array([0])))
            predictions = predictions.reshape(-1, *np.shape(like)[1:])
        else:
            predictions = loss.decide(eta)
        return LeaveOneOut(
            losses=loss.value(objective.targets, eta),
            predictions=predictions,
            probabilities=loss.response(eta) if loss.has_probabilities else None,
            decisions=eta[:, 0] if loss.n_responses == 1 else eta,
            parameters=parameters,
            row_labels=labels_of(self._raw.X, len(eta)),
            method=used,
        )

    def self_influence(self, *, method: str | None = None) -> Array:
        """Return what removing each training row does to its own loss.

        Large for rows that only they themselves explain: outliers, mislabelled rows.

            l(y_i, eta_without_i(x_i)) - l(y_i, eta_i);      first order: a_i' Q_i dl_i/deta

        Parameters
        ----------
        method : {"auto", "first_order", "newton", "exact", "tracin"}, optional
            The constructor's by default; "tracin", ``sum_k step_k w_i |g_i(theta_k)|^2``, as in
            `influence_scores`.

        Returns
        -------
        ndarray of shape (n_train,)
            In the unit of the loss, the row's weight left out of it; never negative, but for
            class weights that move and the rounding of zero.

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
        >>> InfluenceRegressor().fit(X, y).self_influence().round(2)
        array([ 0.76,  0.34,  2.33, 19.1 ])
        """
        used = self._method(method, traced=True)
        self._warn_of_lonely_rows()
        if used == "tracin":
            return self._path().self_influence(self.n_jobs)
        return self_effects(self._engine(used).removal(used), self.n_jobs)

    def parameter_influence(self, *, method: str | None = None) -> Array:
        """Return what removing each training row does to the parameters.

            theta_without_i - theta = H^-1 (J_i' c_i + E z_i),

        c_i = a_i for "first_order" and (I - G_i Q_i)^-1 (a_i + G_i J_i H^-1 E z_i) for "newton",
        E z_i what class weights that move push along; "exact" goes on to the minimum.

        Parameters
        ----------
        method : {"auto", "first_order", "newton", "exact"}, optional
            The constructor's by default.

        Returns
        -------
        ndarray of shape (n_train, n_params)
            In the units of the parameters, class-major: [coef_0, intercept_0, coef_1, ...], on
            the features the final step sees. statsmodels and R's ``dfbeta`` of an ``lm`` have the
            opposite sign.

        Raises
        ------
        ValueError
            Where the fitted model has no unique optimum.
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
        >>> InfluenceRegressor().fit(X, y).parameter_influence().round(2)
        array([[ 0.33, -0.83],
               [-0.1 ,  0.44],
               [ 0.25,  0.38],
               [-1.67,  0.83]])
        """
        used = self._method(method)
        self._warn_of_lonely_rows()
        engine = self._engine(used)
        removal = engine.removal(used)
        return engine.spread(removal.all_changes(self.n_jobs), removal)

    def diagnostics(self, *, method: str | None = None) -> Diagnostics:
        """Return hat diagonal, DFBETAS, Cook's distance and studentised residuals of every row.

        Their definitions, for penalised models too, and the covariance they use are those of
        `Diagnostics`.

        Parameters
        ----------
        method : {"auto", "first_order", "newton", "exact"}, optional
            How the removals are computed; the constructor's by default.

        Returns
        -------
        Diagnostics

        Raises
        ------
        ValueError
            For a model that is not linear in its parameters.
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
        used = self._method(method)
        objective = self._raw_predictions("diagnostics", method)
        if not isinstance(objective, LinearObjective):
            raise ValueError(
                f"diagnostics are defined for linear models, and {type(objective).__name__} is "
                "none; parameter_influence() and self_influence() are defined for it."
            )
        self._warn_of_lonely_rows()
        engine = self._engine(used)
        damped = used != "exact"
        factor = engine.factor if damped else engine.refinement.undamped
        damping = engine.damping if damped else engine.least_damping
        removal = engine.removal(used)
        assert isinstance(removal, Removal)
        found = measures(removal, factor, damping, self.n_jobs)
        single = found.hat_diagonal.shape[1] == 1
        return Diagnostics(
            hat_diagonal=found.hat_diagonal[:, 0] if single else found.hat_diagonal,
            studentized_residuals=(
                found.studentized_residuals[:, 0] if single else found.studentized_residuals
            ),
            cooks_distance=found.cooks_distance,
            dfbetas=found.dfbetas,
            standard_errors=found.standard_errors,
            scale=found.scale,
            row_labels=labels_of(self._raw.X, len(found.cooks_distance)),
            method=used,
        )

    def _raw_predictions(self, question: str, method: str | None) -> OutputObjective:
        """Return the objective where the scores are computed; refuse one without predictions."""
        if not isinstance(self._objective(), OutputObjective):
            raise ValueError(
                f"{question} needs raw predictions, and {type(self._objective()).__name__} has "
                "only losses of the parameters; self_influence() is defined for it."
            )
        objective = self._engine(self._method(method)).objective
        assert isinstance(objective, OutputObjective)
        return objective
