"""
Searching influential rows by their nearest neighbours
=======================================================

First-order scores are inner products. With one vector for each training row and one for each test
row, the rows that matter most are found by any library that searches by inner product, and the
matrix of all scores is never there.
"""

# %%
# Vectors whose inner products are scores
# ---------------------------------------
#
# ``influence_embedding()`` embeds the training rows, ``influence_embedding(X, y)`` test rows. By a
# Cholesky factor, which "auto" means here, they have one coordinate per parameter, and nothing is
# lost.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier
from skinfluence.solvers import Arnoldi

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=1500, stratify=y, random_state=0
)
pipeline = make_pipeline(
    StandardScaler(with_std=False), LogisticRegression(C=0.1, tol=1e-8, max_iter=1000)
)
model = InfluenceClassifier(pipeline, method="first_order").fit(X_train, y_train)

rows = model.influence_embedding()
tests = model.influence_embedding(X_test, y_test)
scores = model.influence_scores(X_test, y_test)
print(rows.shape, tests.shape)
print(f"{np.linalg.norm(tests @ rows.T - scores) / np.linalg.norm(scores):.0e}")

# %%
# Searching
# ---------
#
# scikit-learn's neighbours are nearest in distance. One more coordinate, which makes all training
# rows equally long, turns that into inner products (Bachrach et al. 2014):
# ``|t - r|^2 = |t|^2 + |r|^2 - 2 t'r``. The nearest rows help most; those nearest to the opposite
# vector harm most.


def searchable(rows):
    """Return training rows with the coordinate that makes them equally long."""
    squares = np.einsum("ij,ij->i", rows, rows)
    return np.column_stack([rows, np.sqrt(squares.max() - squares)])


def query(tests):
    return np.column_stack([tests, np.zeros(len(tests))])


def most_helpful(rows, tests, k):
    index = NearestNeighbors(n_neighbors=k).fit(searchable(rows))
    return index.kneighbors(query(tests), return_distance=False)


helpful = most_helpful(rows, tests, 5)
harmful = most_helpful(rows, -tests, 5)
by_scores = model.influence(X_test, y_test, top=5)
print(np.array_equal(helpful, by_scores.helpful(5)), np.array_equal(harmful, by_scores.harmful(5)))

# %%
# The test digit that the model gets most wrong, the training digits that help it most, and those
# that harm it most.

losses = -np.log(model.predict_proba(X_test)[np.arange(len(y_test)), y_test])
worst = int(np.argmax(losses))
shown = [X_test[worst], *X_train[helpful[worst]], *X_train[harmful[worst]]]
names = [y_test[worst], *y_train[helpful[worst]], *y_train[harmful[worst]]]
fig, axes = plt.subplots(1, 11, figsize=(8.0, 1.3), layout="constrained")
for place, (ax, image, name) in enumerate(zip(axes, shown, names, strict=True)):
    ax.imshow(image.reshape(8, 8), cmap="Greys")
    ax.set_title(("test: " if place == 0 else "") + str(name), fontsize=9)
    ax.set_axis_off()
for place, word in ((3, "help"), (8, "harm")):
    axes[place].text(0.5, -0.3, word, transform=axes[place].transAxes, ha="center")

# %%
# Fewer coordinates
# -----------------
#
# ``Arnoldi(rank=...)`` keeps the largest eigenvalues of the curvature (Schioppa et al. 2022), and
# warns of what it leaves out. How many of the ten most helpful rows are found, over all test rows:

best = np.argsort(-scores, axis=1)[:, :10]
ranks, recalls, errors = [25, 50, 100, 200, 400, 600], [], []
print("rank  error of scores  found of ten")
for rank in ranks:
    model.set_params(solver=Arnoldi(rank=rank))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rows, tests = model.influence_embedding(), model.influence_embedding(X_test, y_test)
    found = most_helpful(rows, tests, 10)
    recalls.append(np.mean([np.isin(f, b).mean() for f, b in zip(found, best, strict=True)]))
    errors.append(np.linalg.norm(tests @ rows.T - scores) / np.linalg.norm(scores))
    print(f"{rank:4d}  {errors[-1]:15.3f}  {10 * recalls[-1]:12.1f}")

_, ax = plt.subplots(figsize=(6.0, 3.5), layout="constrained")
ax.plot(ranks, errors, "o-", label="relative error of the scores")
ax.plot(ranks, recalls, "o--", label="share of the ten most helpful rows found")
ax.set_xlabel("rank")
ax.set_ylim(0, 1.02)
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# The features were centred for a reason. The inverse makes most of the *smallest* eigenvalues, and
# where features are far from zero, an intercept without penalty can offset them along directions of
# hardly any curvature, which come last. Without centring, .17 of the scores is missing even at rank
# 600.
#
# The vectors of training rows have their weights in them, so that a row means something else as a
# training row and as a test row. They hold for the model as it is fitted: another fit, another
# embedding.
#
# Bachrach, Y. et al. (2014). Speeding up the Xbox recommender system using a Euclidean
# transformation for inner-product spaces. RecSys. doi:10.1145/2645710.2645741.
