"""
First order, Newton, and real refits
====================================

How large are the scores, against the truth, as the penalty weakens? And what if the class weights
move when a row leaves?
"""

# %%
# The size of a score
# -------------------
#
# Breast cancer again, for penalties from strong (small C) to weak (large C). The 30 training rows
# with the largest scores over all test rows are removed, one at a time, and the model is refitted.
# A slope of 1 is right; above 1 the scores are too small. The correlation does not see a common
# factor, and so notices late.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier
from skinfluence.inspection import agreement

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)


def wrapped(**parameters):
    final = LogisticRegression(tol=1e-8, max_iter=1000, **parameters)
    return InfluenceClassifier(make_pipeline(StandardScaler(), final)).fit(X_train, y_train)


penalties = [0.001, 0.01, 0.1, 1.0, 10.0]
errors = {"first_order": [], "newton": []}
print("     C  method       Pearson   slope  relative error")
for C in penalties:
    model = wrapped(C=C)
    for method, found in errors.items():
        check = model.leave_one_out_check(X_test, y_test, rows=30, method=method)
        found.append(check.relative_error)
        numbers = f"{check.pearson:7.4f}  {check.slope:6.3f}  {check.relative_error:14.3f}"
        print(f"{C:6g}  {method:11}  {numbers}")

# %%
# The relative error is the norm of the difference over the norm of the actual changes.

_, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
for (method, found), style in zip(errors.items(), ("o--", "o-"), strict=True):
    ax.loglog(penalties, found, style, label=method)
ax.set_xlabel("C (weaker penalty to the right)")
ax.set_ylabel("relative error of the scores")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# Class weights that move
# -----------------------
#
# ``class_weight="balanced"`` depends on the class counts, so when a row leaves, the weights of all
# others move. Scores follow them. Frozen weights, here passed as a dict that equals the balanced
# ones, give other scores: right for a model that really keeps these weights, wrong for this one.

balanced = wrapped(C=0.1, class_weight="balanced")
check = balanced.leave_one_out_check(X_test, y_test, rows=100, select="random", random_state=0)

counts = np.bincount(y_train)
frozen = wrapped(C=0.1, class_weight=dict(enumerate(len(y_train) / (2 * counts))))
frozen_scores = frozen.influence_scores(X_test, y_test)[:, check.rows]

for name, predicted in (("re-weighted", check.predicted), ("frozen", frozen_scores)):
    found = agreement(predicted, check.actual)
    print(f"{name:12} slope {found.slope:.3f}, relative error {found.relative_error:.3f}")
