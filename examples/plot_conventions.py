"""
What a score is, by hand
========================

The conventions of this package, computed with numpy beside the package's own numbers: the sign, the
sum form with its penalty, and the factors to other conventions.
"""

# %%
# The sign, by eye
# ----------------
#
# Six points on a line; the last one is labelled against the rest. For a test point of class 1 at
# x = 2, which rows help? Positive: removing the row would raise the test loss, so it helps.

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

from skinfluence import InfluenceClassifier, InfluenceRegressor

x = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]])
labels = np.array([0, 0, 0, 1, 1, 0])

model = InfluenceClassifier(LogisticRegression(tol=1e-10)).fit(x, labels)
by_eye = model.influence([[2.0]], [1])
for position, label, score in zip(x[:, 0], labels, by_eye.scores[0], strict=True):
    print(f"x = {position:4.0f}  label {label}  {score:+.3f}  {'helps' if score > 0 else 'harms'}")

# %%
# The row with the wrong label harms most; the rows of the test point's own class help.

display = by_eye.plot(k=3)

# %%
# The sum form
# ------------
#
# scikit-learn's LogisticRegression minimises ``C sum_i s_i loss_i + 1/2 |coef|^2``. Everything here
# is stated for the same minimum written as a *sum* of unscaled losses,
#
# .. code-block:: none
#
#    F(theta) = sum_i w_i loss_i(theta) + 1/2 theta' diag(l2) theta,     w_i = s_i,  l2 = 1 / C,
#
# with ``theta = [coef, intercept]`` and no penalty on the intercept. First-order scores are then
# ``g_t' H^-1 w_i g_i``, with the gradients ``g`` of one loss each and H the Hessian of F.

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4))
y = (X @ [1.0, -1.0, 0.5, 0.0] + rng.logistic(size=120) > 0).astype(int)
weight = rng.uniform(0.5, 2.0, size=120)
X_test, y_test = X[:3] + 0.1, y[:3]

C = 0.5
model = InfluenceClassifier(LogisticRegression(C=C, tol=1e-10)).fit(X, y, sample_weight=weight)
scores = model.influence_scores(X_test, y_test, method="first_order")

theta = np.append(model.estimator_.coef_[0], model.estimator_.intercept_)
for _ in range(5):  # refined to the minimum, as the package does in a copy
    Z = np.column_stack([X, np.ones(len(X))])
    p = 1.0 / (1.0 + np.exp(-Z @ theta))
    l2 = np.array([1.0, 1.0, 1.0, 1.0, 0.0]) / C
    H = (Z.T * (weight * p * (1.0 - p))) @ Z + np.diag(l2)
    theta = theta - np.linalg.solve(H, Z.T @ (weight * (p - y)) + l2 * theta)

Z_test = np.column_stack([X_test, np.ones(3)])
g_test = Z_test * (1.0 / (1.0 + np.exp(-Z_test @ theta)) - y_test)[:, None]
g_train = Z * (weight * (p - y))[:, None]
by_hand = g_test @ np.linalg.solve(H, g_train.T)
print(
    f"largest score {np.abs(scores).max():.4f}, "
    f"largest difference to the formula {np.abs(scores - by_hand).max():.0e}"
)

# %%
# Koh and Liang (2017)
# --------------------
#
# Their objective is the *mean* loss (with the penalty divided by n alike), and their influence is
# the derivative for up-weighting a row by epsilon, not for removing it. With unit weights,
# ``I_up,loss = -n * score``; dividing it by ``-n``, as they do for a removal, gives the score.

model = InfluenceClassifier(LogisticRegression(C=C, tol=1e-10)).fit(X, y)
scores = model.influence_scores(X_test, y_test, method="first_order")
refined = model.refinement_.objective.theta

p = 1.0 / (1.0 + np.exp(-Z @ refined))
mean_hessian = ((Z.T * (p * (1.0 - p))) @ Z + np.diag(l2)) / len(X)
g_test = Z_test * (1.0 / (1.0 + np.exp(-Z_test @ refined)) - y_test)[:, None]
g_train = Z * (p - y)[:, None]
I_up_loss = -g_test @ np.linalg.solve(mean_hessian, g_train.T)
ratio = np.sum(I_up_loss * scores) / np.sum(scores**2)
apart = np.abs(I_up_loss / -len(X) - scores).max()
print(
    f"n = {len(X)}, I_up,loss / score = {ratio:.4f}, largest difference after scaling {apart:.0e}"
)

# %%
# Changes, and the opposite sign of DFBETA
# ----------------------------------------
#
# Every other target is a change in the same direction: *after the removal minus before*. The
# change of an intercept-free prediction at a unit vector is the change of that coefficient,
# ``coef without the row - coef``. DFBETA in statsmodels and R is ``coef - coef without the row``.

model = InfluenceRegressor(LinearRegression(fit_intercept=False)).fit(X, y)
change = model.influence_scores(np.eye(4), target="predict")  # (n_coefficients, n_train)

row = 7
kept = np.delete(np.arange(len(X)), row)
without = LinearRegression(fit_intercept=False).fit(X[kept], y[kept])
dfbeta = model.estimator_.coef_ - without.coef_
print("score :", change[:, row].round(5))
print("DFBETA:", dfbeta.round(5))
