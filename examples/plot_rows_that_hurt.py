"""
Which rows hurt?
================

Dropping the training rows that hurt a validation set always makes the loss on that set look better.
What is it worth on rows that did not choose them?
"""

# %%
# With labels as they come
# ------------------------
#
# Is a handwritten digit odd? 300 training rows, 400 validation rows, and the rest, which nobody
# looks at before the end.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skinfluence import InfluenceClassifier, validation_audit

X, digit = load_digits(return_X_y=True)
y = np.where(digit % 2, "odd", "even")
X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=300, random_state=0)
X_val, X_fresh, y_val, y_fresh = train_test_split(X_rest, y_rest, train_size=400, random_state=0)

pipeline = make_pipeline(MinMaxScaler(), LogisticRegression())
model = InfluenceClassifier(pipeline).fit(X_train, y_train)
audit = validation_audit(model, X_val, y_val)
print(audit)

# %%
# In-sample, every number of rows seems to be worth dropping. Measured on folds of the validation
# rows that had no part in the choice, none is shown to be.
#
# With wrong labels among them
# ----------------------------
#
# Thirty of the 300 training labels are flipped.

rng = np.random.default_rng(0)
wrong = rng.choice(len(y_train), 30, replace=False)
y_given = y_train.copy()
y_given[wrong] = np.where(y_given[wrong] == "odd", "even", "odd")
model_given = InfluenceClassifier(pipeline).fit(X_train, y_given)
audit_given = validation_audit(model_given, X_val, y_val)
print(audit_given)

# %%
# Now the same rows may be dropped, or get the other label:

relabelling = validation_audit(model_given, X_val, y_val, action="relabel")
print(relabelling)

# %%
# Was it true?
# ------------
#
# On the rows that nobody looked at, after real fits without the rows that all validation rows
# chose:


def fresh_changes(audit, labels):
    """Return what dropping (or relabelling) the k worst rows does to the loss on fresh rows."""

    def loss(X, y):
        fitted = clone(pipeline).fit(X, y)
        return log_loss(y_fresh, fitted.predict_proba(X_fresh))

    changes = []
    for k in audit.k:
        rows = audit.rows(k)
        if audit.action == "drop":
            after = loss(np.delete(X_train, rows, axis=0), np.delete(labels, rows))
        else:
            mended = labels.copy()
            mended[rows] = audit.new_targets[rows]
            after = loss(X_train, mended)
        changes.append(after - loss(X_train, labels))
    return changes


audits = {
    "labels as they come: drop": (audit, y_train),
    "a tenth wrong: drop": (audit_given, y_given),
    "a tenth wrong: relabel": (relabelling, y_given),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for ax, (title, (each, labels)) in zip(axes, audits.items(), strict=True):
    each.plot(ax=ax)
    ax.plot(each.k, fresh_changes(each, labels), "^", color="black", label="fresh rows, refitted")
    ax.set_title(title)
    ax.legend(frameon=False, fontsize=8)

# %%
# The rows themselves, with the label they were given; those that were flipped are among them.

print(audit_given.rows_frame(8).round(4))
print(f"{np.isin(audit_given.rows(30), wrong).sum()} of the 30 worst rows were flipped")
