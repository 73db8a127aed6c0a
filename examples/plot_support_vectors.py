"""
Hinges, smoothed
================

A hinge has no curvature, so a support vector machine has no influence function. Scores are those of
a smooth hinge, at a temperature. Which temperature, which method, and what is left of the
difference to refits of the machine itself?
"""

# %%
# The smooth hinge
# ----------------
#
# ``t log(1 + exp((1 - m) / t))``, m the margin, lies above the hinge by at most ``t log 2`` and has
# a curvature, on a band of margins that is a few t wide. As t falls the loss approaches the hinge
# and its curvature a spike: a row that stands on the margin has ever more of it, all others none.

import matplotlib.pyplot as plt
import numpy as np

from skinfluence.losses import SmoothHinge

signs = np.array([-1, 1])
margins = np.linspace(-0.25, 2.25, 501)
_, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
for t, style in ((0.3, ":"), (0.1, "--"), (0.03, "-")):
    hinge = SmoothHinge(signs, temperature=t)
    value = hinge.value(np.ones((501, 1)), margins[:, None])
    curvature = hinge.hessian(np.ones((501, 1)), margins[:, None])[:, 0]
    axes[0].plot(margins, value, style, color="C0", label=f"t = {t:g}")
    axes[1].plot(margins, curvature, style, color="C0", label=f"t = {t:g}")
axes[0].plot(margins, np.maximum(1.0 - margins, 0.0), color="black", lw=0.8, label="the hinge")
for ax, name in zip(axes, ("loss", "second derivative"), strict=True):
    ax.set_xlabel("margin m")
    ax.set_ylabel(name)
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Against refits of the machine itself
# ------------------------------------
#
# Two hundred patients of the breast cancer data, an ``SVC`` with its default kernel, "rbf".
# ``leave_one_out_check`` refits it, hinge and all, without each of 60 random rows. The target is
# the decision function of the test rows, which needs no loss. Most rows are no support vectors:
# their removal changes nothing, and ranks among them (Spearman) mean nothing either.

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skinfluence import InfluenceClassifier, SmoothLinearSVC
from skinfluence.inspection import agreement

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=200, stratify=y, random_state=0
)
asked = {"target": "decision_function"}


def wrapped(final=None, **parameters):
    pipeline = make_pipeline(StandardScaler(), SVC() if final is None else final)
    return InfluenceClassifier(pipeline, **parameters).fit(X_train, y_train)


check = wrapped(temperature=0.001).leave_one_out_check(
    X_test, y_test, rows=60, select="random", random_state=0, **asked
)
print(check.summary())
moving = np.abs(check.actual).max(axis=0) > 1e-6
print(f"{moving.sum()} of {len(moving)} removals move the decision function at all")

# %%
# The summary names the temperature, and how far the smoothed optimum is from the fitted machine.
# Now the same 60 rows at other temperatures, by each method, against the same refits:

temperatures = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3]
errors = {"first_order": [], "newton": [], "exact": []}
print("     t  method       Pearson   slope  relative error")
for t in temperatures:
    model = wrapped(temperature=t)
    for method, found in errors.items():
        scores = model.influence_scores(X_test, method=method, **asked)[:, check.rows]
        same = agreement(scores, check.actual)
        found.append(same.relative_error)
        numbers = f"{same.pearson:7.4f}  {same.slope:6.3f}  {same.relative_error:14.3f}"
        print(f"{t:6g}  {method:11}  {numbers}")

default = wrapped()
default.influence_scores(X_test[:1], **asked)
chosen = default.leave_one_out_check(X_test, y_test, positions=check.rows, **asked)
print("the default:", *(note for note in chosen.notes if note.startswith("smoothing")))

# %%
# As t falls, ``newton``, which hands the rows that one step cannot carry on to the exact iteration,
# and ``exact`` go to the refits of the hinge itself. First order does not: without its row the
# machine has other support vectors, and no derivative knows them. At a high temperature the methods
# agree with each other, about another model.

_, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
styles = {"first_order": "o--", "newton": "o-", "exact": "x:"}
colours = {"first_order": "C0", "newton": "C1", "exact": "black"}
for method, found in errors.items():
    ax.loglog(temperatures, found, styles[method], color=colours[method], label=method)
ax.set_xlabel("temperature t")
ax.set_ylabel("relative error against refits of SVC")
ax.set_yticks([0.01, 0.1, 1.0], ["1 %", "10 %", "100 %"])
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# With ``refine=False`` the scores are derivatives at the parameters the machine was fitted with, as
# Koh & Liang (2017) took them. That is a first-order idea. ``newton`` and ``exact`` go on to a
# minimum, and the way there from parameters that are not the smooth optimum is no effect of a row:

for t in (0.001, 0.1):
    copied = wrapped(temperature=t, refine=False)
    for method in ("first_order", "newton"):
        scores = copied.influence_scores(X_test, method=method, **asked)[:, check.rows]
        same = agreement(scores, check.actual)
        print(f"t = {t:5g}  {method:11}  relative error {same.relative_error:.3f}")

# %%
# A machine that is smooth
# ------------------------
#
# `~skinfluence.SmoothLinearSVC` minimises the smooth hinge in the first place. Its scores need no
# temperature of the wrapper, and are about the very model that predicts:

smooth = wrapped(SmoothLinearSVC(C=0.1, temperature=0.1), method="exact")
smooth_check = smooth.leave_one_out_check(X_test, y_test, rows=60, **asked)
print(smooth_check.summary())

machine = wrapped(SVC(kernel="linear", C=0.1))
for t in (0.1, 0.01, 0.001):
    close = wrapped(SmoothLinearSVC(C=0.1, temperature=t))
    gap = close.decision_function(X_test) - machine.decision_function(X_test)
    print(f"t = {t:5g}: decision function off that of the hinge by {np.abs(gap).max():.4f} at most")
