"""
Which labels are wrong?
=======================

Some labels of a training set are flipped. Which are they, how many are there, and what is it worth
to check the rows in the order of an audit?
"""

# %%
# An audit
# --------
#
# Handwritten digits, of which every tenth training label is replaced by another. The audit judges
# every label by a model that saw neither the row nor the suspects.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, LabelAudit
from skinfluence.inspection import RecoveryDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=600, random_state=0)


def flipped(labels, share, seed):
    """Return the labels, a share of them replaced by another one."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    given = labels.copy()
    given[rows] = (given[rows] + rng.integers(1, 10, len(rows))) % 10
    return given


pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
y_given = flipped(y_train, 0.1, seed=0)
audit = LabelAudit(pipeline).fit(X_train, y_given)
print(audit.result_)

# %%
# It was told of no flip. 120 labels of 1,197 were flipped; the audit expects

print(audit.expected_errors_)

# %%
# and these are its first twelve, with the label they were given and the one it suggests. Nothing is
# changed: whether the label is wrong is for whoever looks at the row to say.

worst = audit.to_frame(12)
figure, axes = plt.subplots(2, 6, figsize=(8, 3.4), layout="constrained")
for ax, (_, line) in zip(axes.flat, worst.iterrows(), strict=True):
    ax.imshow(X_train[line["position"]].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"given {line['given_label']}, rather {line['suggested_label']}", fontsize=9)
    ax.axis("off")

# %%

display = audit.plot()

# %%
# Checking rows in its order
# --------------------------
#
# As in Koh & Liang (2017): rows are checked worst first, and a label that was flipped is mended. By
# the audit, by the training loss, by self-influence (what they used), by the influence on 300
# validation rows, and in random order, over five draws of flips.

X_val, y_val, X_fresh, y_fresh = X_test[:300], y_test[:300], X_test[300:], y_test[300:]
checked = [0, 0.05, 0.1, 0.15, 0.2, 0.3]
names = ["label quality", "training loss", "self-influence", "influence on validation", "random"]
rankings = {name: [] for name in names}
wrong, accuracies = [], {name: [] for name in names}
for seed in range(5):
    y_given = flipped(y_train, 0.1, seed)
    wrong.append(y_given != y_train)
    audit = LabelAudit(pipeline).fit(X_train, y_given)
    model = InfluenceClassifier(pipeline).fit(X_train, y_given)
    helpful = model.influence_scores(X_val, y_val, aggregate="mean", method="first_order")
    rng = np.random.default_rng(seed)
    orders = [
        audit.label_quality_,
        -audit.loss_training_,
        -audit.self_influence_,
        helpful,
        rng.random(len(y_train)),
    ]
    for name, ranking in zip(names, orders, strict=True):
        rankings[name].append(ranking)
        scores = []
        for share in checked:
            rows = np.argsort(ranking)[: round(share * len(y_train))]
            mended = y_given.copy()
            mended[rows] = y_train[rows]
            scores.append(clone(pipeline).fit(X_train, mended).score(X_fresh, y_fresh))
        accuracies[name].append(scores)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
found = RecoveryDisplay.from_rankings(wrong, rankings, checked).plot(ax=left)
accuracy = RecoveryDisplay(
    np.array(checked),
    {name: np.array(values) for name, values in accuracies.items()},
    ylabel="accuracy on fresh rows",
)
accuracy.plot(ax=right).ax_.get_legend().remove()
for name in names:
    print(f"{name:24} {np.mean(found.curves[name][:, 2]):.2f} of the flips in a tenth of the rows")
