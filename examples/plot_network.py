"""
Digits that a neural network misreads
=====================================

A small network reads handwritten digits. Which of its training digits made it misread some others,
by three methods, and is it true? Then a network that was stopped before its minimum.
"""

# %%
# A network at its minimum
# ------------------------
#
# 400 digits to train on, 10 hidden units, L-BFGS until it stops. The other digits are test digits;
# the three that the network reads worst:

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from skinfluence import InfluenceClassifier
from skinfluence.inspection import LeaveOneOutDisplay, agreement

X, y = load_digits(return_X_y=True)
X_train, y_train, X_test, y_test = X[:400] / 16.0, y[:400], X[400:] / 16.0, y[400:]

network = MLPClassifier(
    10, activation="tanh", solver="lbfgs", alpha=1.0, tol=1e-10, max_iter=5000, random_state=0
)
model = InfluenceClassifier(network).fit(X_train, y_train)

losses = -np.log(model.predict_proba(X_test)[np.arange(len(y_test)), y_test])
worst = np.argsort(-losses)[:3]
hard, labels = X_test[worst], y_test[worst]
read = model.predict(hard)
print(f"{model.score(X_test, y_test):.1%} of {len(y_test)} test digits are read correctly")
for i, label, as_ in zip(worst, labels, read, strict=True):
    print(f"test digit {i}: a {label}, read as {as_}, loss {losses[i]:.2f}")

# %%
# Three methods
# -------------
#
# ``first_order``, the default for networks, is a derivative. ``newton`` takes the row's own
# Gauss-Newton block out of the curvature and evaluates the network at the moved parameters.
# ``exact`` is a local refit: the minimum without each of the 400 rows that is reached from the
# fitted one.

scores = {}
for method in ("first_order", "newton", "exact"):
    scores[method] = model.influence_scores(hard, labels, method=method)

# %%
# Is it true? The check goes on from the fitted weights with scikit-learn's own solvers, without
# each of the rows with the largest scores. L-BFGS had stopped next to the minimum (see
# ``refinement`` in the summary), so that these refits judge all three methods.

check = model.leave_one_out_check(hard, labels, rows=8, method="exact")
print(check.summary())
print()
_, axes = plt.subplots(1, 3, figsize=(12.0, 4.4), layout="constrained")
for ax, (method, predicted) in zip(axes, scores.items(), strict=True):
    found = agreement(predicted[:, check.rows], check.actual)
    print(
        f"{method:12} Pearson {found.pearson:.3f}, slope {found.slope:.3f}, "
        f"relative error {found.relative_error:.1e}"
    )
    display = LeaveOneOutDisplay(
        predicted=predicted[:, check.rows], actual=check.actual, target="loss", method=method
    )
    display.plot(ax=ax)
    ax.set_title(method)

# %%
# The digits behind it
# --------------------
#
# A harmful digit has a negative score: without it the loss of the test digit would be smaller by
# that much. Among the harmful ones are nines drawn like the fours, and one broad 1 without a flag
# for all three.

fig, axes = plt.subplots(3, 7, figsize=(10.5, 5.4), layout="constrained")
for row, of_row in zip(range(3), scores["exact"], strict=True):
    order = np.argsort(of_row)
    shown = [*order[:3], *order[:-4:-1]]
    pictures = [hard[row], *X_train[shown]]
    titles = [f"a {labels[row]}, read as {read[row]}"]
    titles += [f"a {y_train[i]}: {of_row[i]:+.2f}" for i in shown]
    for ax, picture, title in zip(axes[row], pictures, titles, strict=True):
        ax.imshow(picture.reshape(8, 8), cmap="Greys", vmin=0.0, vmax=1.0)
        ax.set_title(title, fontsize=10)
        ax.set_xticks([])
        ax.set_yticks([])
    for ax, colour in zip(axes[row, 1:], ["C3"] * 3 + ["C0"] * 3, strict=True):
        ax.spines[:].set(color=colour, linewidth=2.5)
for column, text in ((0, "test digit"), (2, "most harmful"), (5, "most helpful")):
    axes[2, column].set_xlabel(text, fontsize=11)

# %%
# A network that stopped early
# ----------------------------
#
# Trained by Adam until held-out rows stopped improving, a network is at no minimum: its gradient is
# not zero. The rows that were held out are known from the integer random_state; their scores are 0.
# The first score says how far away the minimum is, in units of what removing a typical row does.

adam = MLPClassifier(
    10,
    activation="tanh",
    solver="adam",
    alpha=0.1,
    batch_size=50,
    early_stopping=True,
    random_state=0,
)
stopped = InfluenceClassifier(adam).fit(X_train, y_train)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", ConvergenceWarning)
    there = stopped.influence_scores(hard, labels)
print(caught[0].message)
found = stopped.refinement_
print(f"gradient {found.gradient_norm:.3g}; {found.relative_distance:.1f} sampling noises to go")
print("rows that early stopping held out:", int(np.sum(np.all(there == 0.0, axis=0))))

# %%
# What do the scores mean, then? Not what training on would do without a row. They answer a question
# that holds the network where it is: the proximal objective (Bae et al. 2022), whose minimum is the
# network itself, and whose answer to a removal first order approximates.

held = stopped.leave_one_out_check(hard, labels, rows=10, refit="proximal")
print(
    f"against the proximal objective: Pearson {held.pearson:.3f}, slope {held.slope:.2f}, "
    f"relative error {held.relative_error:.2f}"
)

# %%
# ``refine=True`` scores another network: the minimum that Newton steps lead to from the stopped
# one, in a copy. ``estimator_`` stays as it is.

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    minimum = InfluenceClassifier(adam, refine=True)
    minimum.fit(X_train, y_train)
    at_minimum = minimum.influence_scores(hard, labels)
found = minimum.refinement_
print(
    f"gradient {found.gradient_norm:.3g} before, {found.remaining_gradient_norm:.0e} after "
    f"{found.n_iter} steps"
)
both = agreement(there, at_minimum)
print(f"scores of the stopped network against those of the minimum: Pearson {both.pearson:.2f}")

# %%
# Beside it: what the row's own steps did
# ---------------------------------------
#
# TracIn (Pruthi et al. 2020) asks what the gradient steps of each row did on the way, at
# checkpoints that `RecordedTraining` keeps. Its numbers count steps that others undid later, so
# that they are not in the size of a removal. On one recorded network the two agree on which rows
# stand out, by their own loss, and hardly on the many rows that do little:

from skinfluence import RecordedTraining

network = MLPClassifier(
    10,
    activation="tanh",
    solver="sgd",
    learning_rate_init=0.05,
    alpha=0.1,
    batch_size=50,
    random_state=0,
)
recorded = InfluenceClassifier(RecordedTraining(network, epochs=100, every=10), damping=1.0)
recorded.fit(X_train, y_train)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    by_method = [
        (
            recorded.influence_scores(X_test[:200], y_test[:200], method=method),
            recorded.self_influence(method=method).scores[None],
        )
        for method in ("tracin", "first_order")
    ]
scores_of, own = (agreement(*pair) for pair in zip(*by_method, strict=True))
print(
    f"tracin and first_order: scores R {scores_of.pearson:.2f}, Spearman {scores_of.spearman:.2f}"
)
print(f"self-influence R {own.pearson:.2f}, Spearman {own.spearman:.2f}")
