"""
Deleting rows, and other changes of the data
============================================

Some patients withdraw their consent. The model without them, without training it again; what groups
of patients did to it; and what would happen if rows came or changed their label.
"""

# %%
# Rows to delete
# --------------
#
# Diabetes patients, and whether their disease progressed faster than the median. Twelve patients
# ask to be forgotten. ``without`` takes labels or positions of training rows (a pandas Index is
# labels, and so is what is no integer) and returns a wrapper as if its last step had been fitted
# without these rows; by default the parameters are iterated to the optimum of the rows that stay.

import pickle
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier
from skinfluence.inspection import agreement

X, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
y = (progression > progression.median()).map({True: "fast", False: "slow"})
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

model = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
model.fit(X_train, y_train)

withdrawn = X_train.index[:120:10]

model.self_influence()  # the first question factorises the curvature; the others use it
began = time.perf_counter()
smaller = model.without(withdrawn)
print(f"{len(withdrawn)} of {len(X_train)} patients deleted in {time.perf_counter() - began:.3f} s")

# %%
# ``certificate_`` holds the norm of the gradient of the remaining patients' objective, computed
# anew at the new parameters and at the old ones. It is zero at the optimum. One step, Newton or
# first order, leaves more of it:

print("method       gradient before     after")
for method in ("first_order", "newton", "exact"):
    left = model.without(withdrawn, method=method).certificate_
    print(f"{method:11}  {left.gradient_norm_before:15.3f}  {left.gradient_norm:8.0e}")

# %%
# Is it the model that fitting without these patients gives? ``estimator_`` is a copy of the plain
# scikit-learn Pipeline. Its scaler stays as it was, and so does that of the refits here:

frozen = FrozenEstimator(model.estimator_[0])


def refit(X, y):
    final = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    return make_pipeline(frozen, final).fit(X, y)


deployed = pickle.loads(pickle.dumps(smaller.estimator_))
found = deployed.predict_proba(X_test)
moved = found - model.predict_proba(X_test)
apart = found - refit(X_train.drop(withdrawn), y_train.drop(withdrawn)).predict_proba(X_test)
print(f"probabilities of the test patients moved by up to {np.abs(moved).max():.3f}")
print(f"largest difference to a refit {np.abs(apart).max():.0e}")

# %%
# What this does not delete
# -------------------------
#
# The mean and scale of the scaler have seen all patients. The certificate says so, in sentences for
# whoever has to be told: which rows are gone, how near the model is to one without them, what still
# contains them, when and by which versions.

print(smaller.certificate_.summary())

# %%
# ``transformers="refit"`` fits the scaler anew as well, and gives the model that fitting the whole
# Pipeline without these patients gives.

forgotten = model.without(withdrawn, transformers="refit")
whole = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-10))
whole.fit(X_train.drop(withdrawn), y_train.drop(withdrawn))
apart = forgotten.predict_proba(X_test) - whole.predict_proba(X_test)
print(f"largest difference to a refit of the Pipeline {np.abs(apart).max():.0e}")
print(f"still containing the rows: {forgotten.certificate_.in_transformers or 'nothing'}")

# %%
# More patients can leave, one after the other; the last certificate accounts for all. The wrapper
# ``model`` still holds its training rows, the new one those that stayed, in their order. An integer
# could be a label or a position of this frame, whose labels are not 0, 1, ...: which is meant must
# be said.

again = forgotten
for position in (0, 0, 7):
    again = again.without(positions=[position])
print(again.certificate_)
again.certificate_.to_frame().tail(4)

# %%
# Groups
# ------
#
# Which age groups helped the predictions for the test patients? ``group_influence`` takes a label
# per training row (or masks, which may overlap) and predicts the change of each test loss if the
# whole group were removed. Positive: the group helps.

decades = (X_train["age"] // 10 * 10).astype(int)
names, sizes = np.unique(decades, return_counts=True)
effects = {
    method: model.group_influence(decades, X_test, y_test, method=method).scores.mean(axis=0)
    for method in ("first_order", "newton")
}


def actual_change(X, y, X_test, y_test):
    losses = [log_loss(y_test, one.predict_proba(X_test)) for one in (refit(X, y), model)]
    return losses[0] - losses[1]


effects["refit"] = [
    actual_change(X_train[decades != name], y_train[decades != name], X_test, y_test)
    for name in names
]

print("age   patients  first_order  newton    refit")
for i, (name, size) in enumerate(zip(names, sizes, strict=True)):
    changes = "  ".join(f"{effect[i]:+.4f}" for effect in effects.values())
    print(f"{name}-{name + 9}  {size:8}      {changes}")

# %%
# More than a quarter of the patients are in their fifties. First order adds up the scores of single
# patients, as if the others of the group stayed. The joint Newton step takes the curvature of the
# group out; where the gradient at its end does not confirm it, it goes on to the minimum.

for method in ("first_order", "newton"):
    found = agreement(effects[method], effects["refit"])
    print(f"{method:11}  slope {found.slope:.3f}, relative error {found.relative_error:.3f}")

_, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
at = np.arange(len(names))
ax.axhline(0.0, color="0.8", lw=1.0)
ax.bar(at, effects["refit"], width=0.6, color="0.85", label="refit without the group")
ax.plot(at, effects["first_order"], "o", color="C0", mfc="none", label="first order, summed")
ax.plot(at, effects["newton"], "o", color="C1", label="newton, joint")
ax.set_xticks(at, [f"{name}s\n({size})" for name, size in zip(names, sizes, strict=True)])
ax.set_xlabel("age group removed (patients in it)")
ax.set_ylabel("change of the mean test loss")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# Rows that come, rows that change
# --------------------------------
#
# Signs are always after minus before: for the loss, a positive number means that the change harms.
# Which of five new patients would help most, and which training label, if it were the other one?

X_new, y_new, X_later, y_later = X_test[:5], y_test[:5], X_test[5:], y_test[5:]
added = model.addition_influence(X_new, y_new, X_later, y_later).scores.mean(axis=0)

other = y_train.map({"fast": "slow", "slow": "fast"})
relabelled = model.relabel_influence(other, X_later, y_later).scores.mean(axis=0)

print("change of the mean test loss:")
for name, effect in (("adding", added), ("relabelling", relabelled)):
    print(f"{name:11}  from {effect.min():+.5f} to {effect.max():+.5f}")

# %%
# The best of each, against refits:

new, row = np.argmin(added), np.argmin(relabelled)
changed = y_train.copy()
changed.iloc[row] = other.iloc[row]
larger = [pd.concat(two) for two in ((X_train, X_new.iloc[[new]]), (y_train, y_new.iloc[[new]]))]
actual = [actual_change(*data, X_later, y_later) for data in (larger, (X_train, changed))]

print(f"adding       predicted {added[new]:+.5f}, refitted {actual[0]:+.5f}")
print(f"relabelling  predicted {relabelled[row]:+.5f}, refitted {actual[1]:+.5f}")
