"""
Which pixels of a training row matter?
======================================

A score says that a training row helped or harmed a prediction. ``input_influence`` says what it is
about the row: how the test loss moves as each of its features does, the row staying in the training
data and the model fitted again (Koh & Liang 2017, section 2.2).
"""

# %%
# A digit that is misread
# -----------------------
#
# Ones and eights of the digits data, 8 x 8 pixels from 0 (white) to 1 (black), half of them to
# train on. The test digit with the largest loss, and the training digits that helped and harmed it
# most:

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skinfluence import InfluenceClassifier

X, y = load_digits(return_X_y=True)
of_two = np.isin(y, (1, 8))
X_train, X_test, y_train, y_test = train_test_split(
    X[of_two] / 16.0, y[of_two], test_size=0.5, random_state=0
)

digits = LogisticRegression(solver="newton-cholesky", tol=1e-10)
model = InfluenceClassifier(digits).fit(X_train, y_train)

given = model.predict_proba(X_test)[np.arange(len(y_test)), model.classes_.searchsorted(y_test)]
worst = np.argmin(given)
one, label = X_test[[worst]], y_test[[worst]]
influence = model.influence(one, label)
rows = np.array([influence.helpful(k=1)[0, 0], influence.harmful(k=1)[0, 0]])
scores = influence.scores[0, rows]
print(f"test digit: a {label[0]}, p = {given[worst]:.2f}, loss {-np.log(given[worst]):.2f}")
for name, i, score in zip(("most helpful", "most harmful"), rows, scores, strict=True):
    print(f"{name}: training row {i}, a {y_train[i]}; the loss without it {score:+.2f}")

# %%
# The derivative in every pixel
# -----------------------------
#
# One row of derivatives for every test row and every training row asked about. Red: the loss of the
# test digit rises as the pixel of the training digit gets darker; blue: it falls.

derivatives = model.input_influence(one, label, positions=rows).derivatives
print("shape (n_test, n_rows, n_features):", derivatives.shape)

import matplotlib.pyplot as plt

fig, axes = plt.subplots(1, 5, figsize=(10.0, 2.5), layout="constrained")
pictures = {
    f"test digit: a {label[0]}": one[0],
    f"most helpful: a {y_train[rows[0]]}": X_train[rows[0]],
    "its derivative": derivatives[0, 0],
    f"most harmful: a {y_train[rows[1]]}": X_train[rows[1]],
    "its derivative ": derivatives[0, 1],
}
limit = np.abs(derivatives).max()
for ax, (title, picture) in zip(axes, pictures.items(), strict=True):
    if "derivative" in title:
        shown = ax.imshow(picture.reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
    else:
        ax.imshow(picture.reshape(8, 8), cmap="Greys", vmin=0.0, vmax=1.0)
    ax.set_title(title, fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])
fig.colorbar(shown, ax=axes, shrink=0.8, label="d test loss / d pixel")

# %%
# Is it true?
# -----------
#
# Move the harmful digit downhill, along its derivative, a longer and longer way, and fit again. A
# derivative is right for small changes. For large ones it promises too much: at the last distances
# the digit is another picture, and one row can only do so much.

loss = -np.log(given[worst])
i, slope = rows[1], derivatives[0, 1]
down = -slope / np.linalg.norm(slope)
print("distance  predicted   after a refit")
for distance in (0.001, 0.01, 0.1, 0.3, 1.0, 3.0):
    moved = X_train.copy()
    moved[i] += distance * down
    p = clone(digits).fit(moved, y_train).predict_proba(one)[0]
    actual = -np.log(p[model.classes_.searchsorted(label[0])]) - loss
    print(f"{distance:8g}  {distance * down @ slope:+9.6f}  {actual:+14.6f}")
