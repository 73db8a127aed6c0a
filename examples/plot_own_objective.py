"""
Any model that autograd can differentiate
=========================================

Two models that are not linear in their parameters and not scikit-learn's: a curve fitted by
nonlinear least squares, and negative binomial regression by statsmodels. Each needs one function
of the parameters, written with `autograd.numpy`, and an adapter; derivatives, Newton steps, exact
refits and the check against retraining follow.
"""

# %%
# A curve of one's own
# --------------------
#
# The velocity of an enzymatic reaction rises with the concentration of its substrate c and
# saturates, v = V c / (K + c) (Michaelis-Menten). Treating the enzyme with Puromycin raises V. 23
# measurements (Treloar 1974, in Bates & Watts 1988, doi:10.1002/9780470316757), and an estimator
# that fits V, its rise and K by least squares:

import autograd.numpy as anp
import numpy as np
from scipy.optimize import least_squares
from sklearn.base import BaseEstimator, RegressorMixin

from skinfluence import AutogradObjective, InfluenceRegressor, register_adapter

of_treated = [76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200]
of_untreated = [67, 51, 84, 86, 98, 115, 131, 124, 144, 158, 160]
c = np.repeat([0.02, 0.06, 0.11, 0.22, 0.56, 1.10], 2)
X = np.column_stack([np.append(c, c[:-1]), np.repeat([1.0, 0.0], [12, 11])])
y = np.append(of_treated, of_untreated).astype(float)


def velocity(theta, X):
    """Return the velocities of reactions at concentrations X[:, 0], treated or not."""
    c, treated = X[:, 0], X[:, 1]
    return (theta[0] + theta[1] * treated) * c / (theta[2] + c)


class MichaelisMenten(RegressorMixin, BaseEstimator):
    """Saturating reactions with and without a treatment, by least squares."""

    def fit(self, X, y):
        start = np.array([np.max(y), 0.0, np.median(X[:, 0])])
        tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
        fit = least_squares(lambda theta: velocity(theta, X) - y, start, x_scale="jac", **tight)
        self.theta_ = fit.x
        return self

    def predict(self, X):
        return velocity(self.theta_, X)


# %%
# What it minimises, stated once: the loss of every row, given the raw predictions, and how these
# depend on the parameters. (A function ``loss(theta, X, y)`` alone would do as well; with `predict`
# there are other targets than the loss, and cheaper Newton steps.) The rows and weights are those
# of the final step, unless the adapter passes others. A penalty would be ``l2=``, beside a *sum* of
# losses.


def squared_error(eta, y):
    return 0.5 * (eta - y) ** 2


@register_adapter(MichaelisMenten)
def of_michaelis_menten(estimator, X, y, sample_weight):
    return AutogradObjective(squared_error, estimator.theta_, predict=velocity)


# %%
# Which measurements hold the plateaus, the velocities at 2.0, beyond all concentrations measured?
# The score of a row is what its removal would do to the prediction.

plateaus = np.array([[2.0, 1.0], [2.0, 0.0]])
model = InfluenceRegressor(MichaelisMenten()).fit(X, y)
print("V, its rise, K:", model.estimator_.theta_.round(3))
scores = model.influence_scores(plateaus, target="predict", method="newton")
for name, row, of_row in zip(("treated", "untreated"), plateaus, scores, strict=True):
    i = np.argmax(np.abs(of_row))
    print(
        f"{name}: {model.predict(row[None])[0]:.1f} at {row[0]}; "
        f"without the row at c = {X[i, 0]} with velocity {y[i]:.0f}, {of_row[i]:+.1f}"
    )

# %%
# The check refits the estimator without every row in turn. First order takes the model as linear
# in every respect; Newton takes the row's own curvature out; exact goes on to the minimum.

checks = {}
for method in ("first_order", "newton", "exact"):
    checks[method] = model.leave_one_out_check(
        plateaus, rows=len(y), target="predict", method=method
    )
    print(
        f"{method:12} slope {checks[method].slope:.4f}, "
        f"relative error {checks[method].relative_error:.1e}"
    )
print(checks["exact"].summary())

# %%
# In pictures:

import matplotlib.pyplot as plt

_, axes = plt.subplots(1, 3, figsize=(12.0, 4.4), layout="constrained")
for ax, (method, check) in zip(axes, checks.items(), strict=True):
    check.plot(ax=ax)
    ax.set_title(method)

# %%
# A model of another package
# --------------------------
#
# Negative binomial regression counts with more spread than a Poisson variable: its variance is
# mu + a mu^2, with log mu linear in the features and the dispersion a a parameter like the others.
# statsmodels fits it; a thin wrapper gives it scikit-learn's interface.

from importlib.util import find_spec

from autograd.scipy.special import gammaln


class NegativeBinomialRegression(RegressorMixin, BaseEstimator):
    """Counts by ``statsmodels.discrete.discrete_model.NegativeBinomial``."""

    def fit(self, X, y):
        from statsmodels.discrete.discrete_model import NegativeBinomial

        model = NegativeBinomial(y, np.column_stack([np.ones(len(X)), X]))
        start = model.fit(method="bfgs", maxiter=200, disp=0).params
        self.result_ = model.fit(start, method="newton", tol=1e-12, disp=0)
        return self

    def predict(self, X):
        return self.result_.predict(np.column_stack([np.ones(len(X)), X]))


def negative_log_likelihood(theta, X, y):
    mu = anp.exp(theta[0] + X @ theta[1:-1])
    size = 1.0 / theta[-1]
    probable = gammaln(y + size) - gammaln(size) - gammaln(y + 1.0)
    return -(probable + size * anp.log(size / (size + mu)) + y * anp.log(mu / (size + mu)))


@register_adapter(NegativeBinomialRegression)
def of_negative_binomial(estimator, X, y, sample_weight):
    return AutogradObjective(negative_log_likelihood, estimator.result_.params)


# %%
# Doctor visits of 400 people in the RAND health insurance experiment, which come with statsmodels.

if find_spec("statsmodels") is None:
    print("statsmodels is not installed: this part is skipped (pip install statsmodels).")
else:
    from statsmodels.datasets import randhie

    data = randhie.load_pandas()
    people = np.random.default_rng(0).permutation(len(data.endog))[:450]
    visits = data.endog.to_numpy()[people].astype(float)
    about = data.exog[["lncoins", "disea", "hlthg", "hlthp"]].to_numpy()[people]
    about[:, 1] /= 10.0  # chronic diseases: tens

    counts = InfluenceRegressor(NegativeBinomialRegression()).fit(about[:400], visits[:400])
    for method in ("first_order", "newton", "exact"):
        check = counts.leave_one_out_check(about[400:], visits[400:], rows=20, method=method)
        print(f"{method:12} slope {check.slope:.4f}, relative error {check.relative_error:.1e}")
    most = np.argsort(-counts.self_influence(method="newton").scores)[:3]
    print("visits that the model expects least without their own row:", visits[:400][most])
