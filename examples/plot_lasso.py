"""
Rows that decide what a lasso selects
=====================================

A lasso leaves some features out. Would it leave out the same without a row? One step keeps the
features that are in and warns of the rows where that is wrong; ``method="exact"`` follows them in
and out of the model.
"""

# %%
# The chosen penalty
# ------------------
#
# The diabetes data, all features of unit variance, the penalty chosen by cross-validation (and
# frozen from here on). Which rows would change what is selected?

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso, LassoCV

from skinfluence import InfluenceRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True)
X = (X - X.mean()) / X.std()

chosen = InfluenceRegressor(LassoCV(tol=1e-8)).fit(X, y)
selected = chosen.estimator_.coef_ != 0
print(f"alpha = {chosen.estimator_.alpha_:.3g}, in the model: {', '.join(X.columns[selected])}")


def supports_without_each_row(model):
    """Return which coefficients are not 0 without each training row, shape (n_train, 10)."""
    changes = model.parameter_influence(method="exact").changes[:, :-1]
    return np.abs(model.estimator_.coef_ + changes) > 1e-6  # what its fit has not settled


moving = np.flatnonzero(np.any(supports_without_each_row(chosen) != selected, axis=1))
print("rows without which other features are selected:", *moving)

# %%
# A stronger penalty
# ------------------
#
# Near a knot of the path, where a feature is about to come in or to leave, many rows decide. The
# default method says so:

alpha = 1.0
model = InfluenceRegressor(Lasso(alpha, tol=1e-8)).fit(X, y)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    one_step = model.influence_scores(X, y)
print(caught[0].message)

exact = model.influence_scores(X, y, method="exact")

changes = model.parameter_influence(method="exact").changes
supports = supports_without_each_row(model)
selected = model.estimator_.coef_ != 0
moving = np.flatnonzero(np.any(supports != selected, axis=1))
print(f"exact: {len(moving)} rows, the first of them", *moving[:8])

off = np.linalg.norm(one_step - exact, axis=0) / np.linalg.norm(exact, axis=0)
others = np.setdiff1d(np.arange(len(X)), moving)
print(f"median error of one step: {np.median(off[moving]):.3f}; other rows {off[others].max():.0e}")
for name in X.columns[np.any(supports != selected, axis=0)]:
    there = supports[:, X.columns.get_loc(name)]
    print(f"  {name} is selected without {there.sum()} of {len(X)} rows, one at a time")

# %%
# Is it true? Refit without some of the rows that matter, and some that do not:

worst = 0.0
for row in (*moving[:10], *others[:10]):
    refitted = Lasso(alpha, tol=1e-12, max_iter=100_000).fit(X.drop(row), y.drop(row))
    assert np.array_equal(refitted.coef_ != 0, supports[row])
    changed = refitted.coef_ - model.estimator_.coef_
    worst = max(worst, np.abs(changes[row, :-1] - changed).max() / np.abs(changed).max())
print(f"20 refits select what was predicted; coefficients move as predicted to {worst:.0e}")

# %%
# Along the path
# --------------
#
# How many single rows decide, for every penalty from strong to weak, below the coefficients of the
# fitted models. Where a feature comes in, a good part of the rows could keep it out or bring it in
# earlier, each alone: at such a penalty the selection says little.

alphas = np.geomspace(30.0, 0.15, 48)
coefficients, deciding = [], []
for alpha in alphas:
    model = InfluenceRegressor(Lasso(alpha, tol=1e-8, max_iter=100_000)).fit(X, y)
    supports = supports_without_each_row(model)
    deciding.append(np.sum(np.any(supports != (model.estimator_.coef_ != 0), axis=1)))
    coefficients.append(model.estimator_.coef_)

_, (above, below) = plt.subplots(
    2, 1, figsize=(6.5, 6.0), sharex=True, height_ratios=(2, 1), layout="constrained"
)
for name, path in zip(X.columns, np.array(coefficients).T, strict=True):
    above.plot(alphas, path, lw=1.5)
    if abs(path[-1]) > 1:
        above.annotate(name, (alphas[-1], path[-1]), (4, -3), textcoords="offset points")
above.axhline(0.0, color="black", lw=0.8)
above.set_ylabel("coefficient")
below.bar(alphas, deciding, width=0.09 * alphas, color="C1")
below.set_ylabel("rows that decide\nwhat is selected")
below.set_xlabel("alpha (weaker penalty to the right)")
below.set_xscale("log")
below.invert_xaxis()
for ax in (above, below):
    ax.spines[["top", "right"]].set_visible(False)
