"""
Trees by their rows
===================

Which rows made boosted trees predict that; what one row and what several do when the trees are
really fitted again; a deletion; and a forest, which is a mean of its rows.
"""

# %%
# A prediction and its rows
# -------------------------
#
# Is a handwritten digit odd? A score is the change of a prediction when the training goes again
# over the same splits, without the row. Below, the test digit of which boosted trees are least
# sure, and the training digits that hold it there: without those of the upper line it would be
# less odd, without those of the lower line odder.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import train_test_split

from skinfluence import InfluenceClassifier

digits = load_digits()
odd = np.where(digits.target % 2, "odd", "even")
X_train, X_test, y_train, y_test, digit_train, digit_test = train_test_split(
    digits.data, odd, digits.target, test_size=500, random_state=0
)
boosting = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=15, early_stopping=False)
model = InfluenceClassifier(boosting).fit(X_train, y_train)
print(f"{model.score(X_test, y_test):.3f} of the test digits are right")

decision = model.decision_function(X_test)
unsure = int(np.argmin(np.abs(decision)))
influence = model.influence(X_test[[unsure]], target="decision_function")
print(influence)

# %%

order = np.argsort(influence.scores[0])
lines = {"for odd": order[:6], "against": order[:-7:-1]}
figure, axes = plt.subplots(2, 7, figsize=(9, 3.2), layout="constrained")
for ax in axes.flat:
    ax.axis("off")
axes[0, 0].imshow(X_test[unsure].reshape(8, 8), cmap="gray_r")
axes[0, 0].set_title(f"test: {digit_test[unsure]}\n{decision[unsure]:+.3f}", fontsize=9)
for line, (what, rows) in zip(axes, lines.items(), strict=True):
    line[1].text(-0.1, 0.5, what, rotation=90, va="center", ha="right", transform=line[1].transAxes)
    for ax, row in zip(line[1:], rows, strict=True):
        ax.imshow(X_train[row].reshape(8, 8), cmap="gray_r")
        ax.set_title(f"{digit_train[row]}\n{influence.scores[0, row]:+.3f}", fontsize=9)

# %%
# Is it true?
# -----------
#
# Over the same splits, yes. The check computes all leaves again without each row, by plain loops
# that share no code with the scores. Newton, the default of two classes, takes a row out of its
# own leaves exactly and follows the others linearly; "exact" follows all of them.

for method in ("first_order", "newton", "exact"):
    check = model.leave_one_out_check(
        X_test[:20], y_test[:20], rows=5, target="decision_function", method=method
    )
    print(f"{method:12s} slope {check.slope:.3f}, relative error {check.relative_error:.0e}")

# %%
# A real fit would choose its splits anew. For one row that is mostly chance, and no score
# predicts it. For several together it is not. Below, for each of 30 test digits, the training
# digit that does most for its decision, left out alone, and the first twelve, left out together.
# Scores have the direction; a real fit moves further, since splits that are chosen anew amplify.

tests = np.random.default_rng(0).choice(len(X_test), 30, replace=False)
scores = model.influence_scores(X_test[tests], target="decision_function")
towards = np.sign(decision[tests])[:, None]
most = np.argsort(scores * towards, axis=1)


def changes_without(rows_of_tests):
    """Return predicted and actual changes of the test digits, each without rows of its own."""
    masks = np.zeros((len(tests), len(X_train)), dtype=bool)
    np.put_along_axis(masks, rows_of_tests, True, axis=1)
    predicted = model.group_influence(masks, X_test[tests], target="decision_function")
    refitted = [clone(boosting).fit(X_train[~mask], y_train[~mask]) for mask in masks]
    after = [
        refit.decision_function(X_test[[t]])[0] for refit, t in zip(refitted, tests, strict=True)
    ]
    return np.diag(predicted.scores), np.array(after) - decision[tests]


figure, axes = plt.subplots(1, 2, figsize=(8.5, 4), layout="constrained")
panels = {"one row": most[:, :1], "twelve rows together": most[:, :12]}
for ax, (title, rows) in zip(axes, panels.items(), strict=True):
    predicted, actual = changes_without(rows)
    r, same = np.corrcoef(predicted, actual)[0, 1], np.mean(predicted * actual > 0)
    size = np.linalg.norm(actual) / np.linalg.norm(predicted)
    print(f"{title}: r {r:.2f}, same sign {same:.0%}, a real fit moves {size:.1f} times as far")
    ax.axline((0, 0), slope=1, color="0.7", linewidth=1)
    ax.scatter(predicted, actual, s=18)
    ax.locator_params(nbins=6)
    ax.set(title=f"{title}: r = {r:.2f}", xlabel="over the same splits", ylabel="fitted again")

# %%
# A deletion
# ----------
#
# ``without`` writes the leaves of the rows that stay into a scikit-learn copy, which predicts
# what the group's score said. Its splits were chosen with the rows that left, and its certificate
# says so: a new fit is the way to forget that as well.

smaller = model.without(most[0, :12])
after = smaller.estimator_.decision_function(X_test[tests[:1]])
print(f"the group's change: {(after - decision[tests[:1]])[0]:.4f}")
print(smaller.certificate_.summary())

# %%
# A forest is a mean of its rows
# ------------------------------
#
# ``prediction_weights`` says how much of a prediction each training target is.

forest = InfluenceClassifier(RandomForestClassifier(200, oob_score=True, random_state=0))
forest.fit(X_train, y_train)
weights = forest.prediction_weights(X_test)
probabilities = weights @ (y_train[:, None] == forest.classes_)
print(f"off predict_proba by {np.abs(probabilities - forest.predict_proba(X_test)).max():.0e}")

nearest = np.argsort(-weights, axis=1)[:, :5]
same = digit_train[nearest] == digit_test[:, None]
print(f"of the five largest weights {same.mean():.0%} are at the same digit, which it never saw")

# %%
# A training row without itself: by the trees that never drew it. That is scikit-learn's out-of-
# bag prediction, for every row, with the loss and the words of all other models.

left_out = forest.leave_one_out()
print(left_out)
off = np.abs(left_out.probabilities - forest.estimator_.oob_decision_function_).max()
print(f"off scikit-learn's by {off:.0e}")
