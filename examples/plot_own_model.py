"""
Scores for a model of your own
==============================

An estimator that `skinfluence` has never heard of: robust regression under the log-cosh loss, which
is quadratic for small residuals and linear for large ones. Two things are needed, its loss as a
function of the raw prediction and an adapter that says what a fitted estimator minimised. Targets,
Newton steps, Pipelines, sparse features, sample weights and the check against refits follow.
"""

# %%
# The estimator
# -------------
#
# It stands for a package of someone else's: scikit-learn's interface, its own solver, no idea of
# influence. It minimises ``sum_i w_i log cosh(x_i'coef + intercept - y_i) + alpha/2 |coef|^2``.

import numpy as np
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin


class LogCoshRegression(RegressorMixin, BaseEstimator):
    """Linear regression under the log-cosh loss with an l2 penalty."""

    def __init__(self, alpha=1.0, tol=1e-8):
        self.alpha = alpha
        self.tol = tol

    def fit(self, X, y, sample_weight=None):
        Z, y = np.column_stack([X, np.ones(len(X))]), np.asarray(y)
        w = np.ones(len(Z)) if sample_weight is None else np.asarray(sample_weight)
        penalty = np.append(np.full(Z.shape[1] - 1, self.alpha), 0.0)

        def value(theta):
            r = Z @ theta - y
            return w @ (np.logaddexp(r, -r) - np.log(2.0)) + 0.5 * penalty @ theta**2

        def gradient(theta):
            return Z.T @ (w * np.tanh(Z @ theta - y)) + penalty * theta

        def hessian(theta):
            curvature = w * (1.0 - np.tanh(Z @ theta - y) ** 2)
            return (Z.T * curvature) @ Z + np.diag(penalty)

        start = np.zeros(Z.shape[1])
        options = {"gtol": self.tol}
        fit = minimize(
            value, start, jac=gradient, hess=hessian, method="trust-exact", options=options
        )
        self.coef_, self.intercept_ = fit.x[:-1], fit.x[-1]
        return self

    def predict(self, X):
        return np.asarray(X) @ self.coef_ + self.intercept_


# %%
# The loss
# --------
#
# A loss is a pointwise function of the targets and the raw predictions ``eta``, both of shape
# ``(..., n_outputs)``; here there is one output. Its value and two derivatives in ``eta`` are all
# that right numbers take. What else it states are promises that save time: ``convex``, the second
# derivative is never negative; ``curvature_scale``, how far ``eta`` may move before the second
# derivative is another one (here half a unit: ``|l'''| <= 2 l''``). Steps that move no row far are
# trusted; without that promise the gradient is looked at where each step ends.

from skinfluence import InfluenceRegressor, register_adapter
from skinfluence.losses import Loss
from skinfluence.objectives import LinearObjective


class LogCosh(Loss):
    """log cosh(eta - y)."""

    n_outputs = 1
    convex = True
    curvature_scale = 0.5

    def encode(self, y):
        return np.asarray(y, dtype=float).reshape(-1, 1)

    def value(self, y, eta):
        r = eta - y
        return np.sum(np.logaddexp(r, -r) - np.log(2.0), axis=-1)

    def gradient(self, y, eta):
        return np.tanh(eta - y)

    def hessian(self, y, eta):
        return 1.0 - np.tanh(eta - y) ** 2


# %%
# The adapter
# -----------
#
# It is called with the fitted final step and with the rows and weights that step was fitted on. The
# penalty is given in the sum form, ``1/2 l2 |coef|^2`` beside a *sum* of losses: a package that
# divides by the number of rows needs ``l2 = n * alpha`` here.


@register_adapter(LogCoshRegression)
def log_cosh(estimator, X, y, sample_weight):
    return LinearObjective.from_coefficients(
        X,
        y,
        LogCosh(),
        estimator.coef_,
        estimator.intercept_,
        l2=estimator.alpha,
        sample_weight=sample_weight,
    )


# %%
# Scores, and the proof
# ---------------------
#
# The diabetes data, in a Pipeline.

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_diabetes(return_X_y=True, as_frame=True)
y = y / 50.0  # residuals of about one
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=100, random_state=0)

model = InfluenceRegressor(make_pipeline(StandardScaler(), LogCoshRegression(alpha=1.0)))
model.fit(X_train, y_train)
print(model.influence(X_test[:2], y_test[:2]).to_frame(k=2).round(4))

# %%
# And against refits of ``LogCoshRegression`` itself. A wrong constant in the adapter (a factor n, a
# forgotten half) shows in three places: the noise floor is not next to nothing, since the fitted
# parameters are not at the minimum of what the adapter states; the line on refinement says how far
# away they are; and the slope is not 1.

newton = model.leave_one_out_check(X_test, y_test, rows=30)
print(newton.summary())

first_order = model.leave_one_out_check(X_test, y_test, rows=30, method="first_order")
slope, error = first_order.slope, first_order.relative_error
print(f"method='first_order': slope {slope:.2f}, relative error {error:.2f}")

# %%
# The same in two pictures:

_, axes = plt.subplots(1, 2, figsize=(9.0, 4.6), layout="constrained")
for ax, check in zip(axes, (first_order, newton), strict=True):
    check.plot(ax=ax)
