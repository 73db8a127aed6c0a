"""
Choosing C by leave-one-out
===========================

The loss of every training row by the model that never saw it, for every C of a grid, from one fit
per C. How close is it to fitting the model anew without each row, and what does it cost? The same
numbers compare two models, and say which rows fit the rest of the data badly.
"""

# %%
# One fit per C
# -------------
#
# Three hundred patients of the breast cancer data, standardised features, a penalty from strong
# (small C) to weak (large C). ``leave_one_out_curve`` fits one model per value and returns the
# left-out losses of all rows under each. "first_order" and "newton" take one step per row
# (approximate leave-one-out), "exact", its default, goes on to the minimum without each row.

import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    LeaveOneOut,
    StratifiedKFold,
    cross_val_predict,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skinfluence import InfluenceClassifier, leave_one_out_curve

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=300, stratify=y, random_state=0
)


def pipeline(C):
    final = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-8)
    return make_pipeline(StandardScaler(), final)


grid = 10.0 ** np.arange(-2.0, 2.01, 0.5)

threadpool_limits(1)  # one thread for all that is timed
curves, risk, seconds = {}, {}, {}
for method in ("first_order", "newton", "exact"):
    began = time.perf_counter()
    curves[method] = leave_one_out_curve(
        pipeline(1.0), X_train, y_train, "logisticregression__C", grid, method=method
    )
    seconds[method] = (time.perf_counter() - began) / len(grid)
    risk[method] = curves[method].scores

print(curves["exact"])

# %%
# ``above_best`` is how far a value is from the best, and its standard error is paired over rows:
# patients that are hard for both models are no part of it. The strongest penalties are worse for
# certain. Weak ones are far worse on a few patients, which is less sure to happen again.

# %%
# The truth, and ten folds
# ------------------------
#
# The truth is one fit per row and C. It is fitted on the features as the Pipeline made them,
# because leave-one-out freezes the transformers: the scaler has seen the row that is left out.
# Cross-validation with ten folds refits the whole Pipeline, on nine tenths of the rows.


def refit(name, estimators, X, cv):
    began = time.perf_counter()
    risk[name] = []
    for estimator in estimators:
        left_out = cross_val_predict(estimator, X, y_train, cv=cv, method="predict_proba")
        risk[name].append(log_loss(y_train, left_out))
    seconds[name] = (time.perf_counter() - began) / len(estimators)


Z = StandardScaler().fit_transform(X_train)
refit("refits", [pipeline(C)[-1] for C in grid[::2]], Z, LeaveOneOut())

folds = StratifiedKFold(10, shuffle=True, random_state=0)
refit("10 folds", [pipeline(C) for C in grid], X_train, folds)

print("seconds for one C:", ", ".join(f"{name} {took:.3f}" for name, took in seconds.items()))
for method in ("first_order", "newton", "exact"):
    off = np.abs(np.array(risk[method])[::2] / risk["refits"] - 1.0).max()
    print(f"{method:11} largest relative difference to {len(X_train)} refits: {off:.0e}")

# %%
# First order knows nothing of overfitting here: its estimate falls as the penalty weakens, and
# would choose the largest C there is. One Newton step bends up where the refits do.

_, ax = plt.subplots(figsize=(6.0, 4.2), layout="constrained")
ax.loglog(grid, risk["first_order"], "--", color="C0", label="first order")
ax.loglog(grid, risk["newton"], "-", color="C1", label="newton")
ax.loglog(grid, risk["exact"], ".", color="black", label="exact")
open_circles = {"color": "black", "ms": 10, "mfc": "none"}
ax.loglog(grid[::2], risk["refits"], "o", label="refits without each row", **open_circles)
ax.loglog(grid, risk["10 folds"], ":", color="C2", label="10-fold cross-validation")
ax.set_xlabel("C (weaker penalty to the right)")
ax.set_ylabel("log loss of rows left out")
ticks = [0.05, 0.1, 0.2, 0.3]
ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
ax.minorticks_off()
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

best_C = curves["exact"].best
print("      C  exact leave-one-out  10 folds  test loss")
for C, exact, tenfold in zip(grid, risk["exact"], risk["10 folds"], strict=True):
    test = log_loss(y_test, pipeline(C).fit(X_train, y_train).predict_proba(X_test))
    print(f"{C:7.3g}  {exact:19.4f}  {tenfold:8.4f}  {test:9.4f}")
print(f"leave-one-out chooses C = {best_C:.3g}")

# %%
# Two models, row by row
# ----------------------
#
# Does the model need all thirty features? ``compare`` takes the left-out losses of two models of
# the same rows and says whether chance explains the difference.

all_features = InfluenceClassifier(pipeline(best_C)).fit(X_train, y_train).leave_one_out()
means = InfluenceClassifier(pipeline(best_C)).fit(X_train[:, :10], y_train).leave_one_out()
print(all_features.compare(means))

# %%
# The rows that the model fits worst, and what it says of them when it has not seen them:

all_features.plot(k=6)
print(all_features)

# %%
# In a search
# -----------
#
# Several parameters at once are a search. One that scores by leave-one-out needs no folds: one
# "split" that trains on all rows, and a scorer that asks the fitted wrapper.

rows = np.arange(len(X_train))


def leave_one_out_score(model, X, y):
    return -model.leave_one_out(method="newton").score()


search = GridSearchCV(
    InfluenceClassifier(pipeline(1.0)),
    {"estimator__logisticregression__C": grid},
    scoring=leave_one_out_score,
    cv=[(rows, rows)],
)
search.fit(X_train, y_train)
print("the search chooses", search.best_params_)

# %%
# The frozen scaler
# -----------------
#
# How much does it matter that the scaler has seen every row? Refit it too, at the C chosen:

refit("scaler, too", [pipeline(best_C)], X_train, LeaveOneOut())
print(f"scaler frozen                 {all_features.score():.5f}")
print(f"refitted without each row too {risk['scaler, too'][0]:.5f}")

# %%
# A scaler hardly moves by one row in 300. A transformer that looks at the targets (feature
# selection, a TargetEncoder) is another matter: leave-one-out of the last step alone is then too
# optimistic, and only refits of the whole Pipeline tell.

# %%
# Wrong labels
# ------------
#
# ``self_influence`` is what the removal of a row does to the row's own loss. It is large for rows
# that nothing but themselves explains, wrong labels among them. Here 5 % of the labels are flipped;
# how many of them are among the first so many rows of each ranking?

rng = np.random.default_rng(0)
flipped = rng.choice(len(y_train), len(y_train) // 20, replace=False)
y_noisy = y_train.copy()
y_noisy[flipped] = 1 - y_noisy[flipped]

noisy = InfluenceClassifier(pipeline(1.0)).fit(X_train, y_noisy)
given = noisy.predict_proba(X_train)[np.arange(len(y_noisy)), y_noisy]
rankings = {
    "self_influence": noisy.self_influence().scores,
    "left-out loss": noisy.leave_one_out().losses,
    "training loss": -np.log(given),
}
looked_at = [15, 20, 30, 45]
print(f"{len(flipped)} labels flipped; found among the first", *(f"{k:4}" for k in looked_at))
for name, score in rankings.items():
    order = np.argsort(-score)
    found = [np.isin(flipped, order[:k]).sum() for k in looked_at]
    print(f"{name:40}", *(f"{count:4}" for count in found))

# %%
# Looking at a tenth of the rows finds nearly all of them, whichever the ranking. Self-influence is
# not the best of the three here: it is also large for rows that are far out and labelled rightly.
# For a linear model with a sensible penalty the plain training loss finds wrong labels as well;
# self-influence tells how much the model bends to a row, which the loss does not.
