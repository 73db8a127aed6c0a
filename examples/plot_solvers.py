"""
What a solver takes, and what it leaves
=======================================

``solver="auto"`` needs no help. This is what the others do with the same question.
"""

# %%
# One question, every solver
# --------------------------
#
# Ten digits, 1,500 training rows, 650 parameters: first-order scores of 20 test rows. The matrix is
# small, "auto" factorises it, and the others are held against its scores. *error*: norm of the
# difference over the norm of the scores. *products*: those with the curvature so far, each of all
# columns at once (LiSSA's with batches, a fifteenth of the rows). *residual*: what each solver says
# of itself, largest so far, or on typical right-hand sides.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skinfluence import InfluenceClassifier
from skinfluence.solvers import CG, Arnoldi, LiSSA, Nystroem

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, train_size=1500, stratify=y, random_state=0
)


def fitted(C):
    estimator = LogisticRegression(C=C, tol=1e-8, max_iter=10_000)
    return InfluenceClassifier(estimator, method="first_order").fit(X_train, y_train)


def error(found, right):
    return np.linalg.norm(found - right) / np.linalg.norm(right)


def text(number, form):
    return "" if number is None else format(number, form)


model = fitted(C=1.0)
right = model.influence_scores(X_test[:20], y_test[:20])
print(model.solver_)
print(model.numerics_)

# %%
# A solver can be changed without fitting again.

solvers = {
    "cholesky": "cholesky",
    "lu": "lu",
    "cg": "cg",
    "nystroem": "nystroem",
    "nystroem, rank 300": Nystroem(rank=300),
    "arnoldi, rank 300": Arnoldi(rank=300),
    "arnoldi, rank 100": Arnoldi(rank=100),
    "lissa, 2,000 steps": "lissa",
    "lissa, 4 repeats": LiSSA(repeats=4),
}

print("solver                error  products  residual")
for name, solver in solvers.items():
    model.set_params(solver=solver)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said in the last column
        found = model.influence_scores(X_test[:20], y_test[:20])
    products = text(model.numerics_.n_products, ",d")
    residual = text(model.numerics_.residual, ".0e")
    print(f"{name:18}  {error(found, right):7.0e}  {products:>8}  {residual:>8}")

# %%
# The first three invert the curvature, and so does Nystroem, left to itself: it doubled its rank
# until nothing was left out. The others approximate. Along many directions this model has little
# curvature beside the largest; there LiSSA takes many steps, and its batches leave noise, which
# repeats average out.
#
# Preconditioners
# ---------------
#
# Conjugate gradients take the more products the more uneven the curvature is. A preconditioner
# evens it out. Each is asked for one right-hand side, and for 20, which share directions, to a
# residual of 1e-8.


def products(model, first, tests):
    """Return the products that some more test rows take."""
    before = model.numerics_.n_products
    model.influence_scores(X_test[first : first + tests], y_test[first : first + tests])
    return model.numerics_.n_products - before


kinds = ("subsampled", "nystroem", "block", "jacobi", None)
print("                     C = 1             C = 100")
print("preconditioner    one  20 at once    one  20 at once")
weak = fitted(C=100.0)
for kind in kinds:
    counts = []
    for one in (model, weak):
        one.set_params(solver=CG(rtol=1e-8, max_iter=5000, preconditioner=kind))
        one.influence_scores(X_test[:1], y_test[:1])
        counts += [products(one, 1, 1), products(one, 2, 20)]
    print("{!s:14} {:6d} {:11d} {:6d} {:11d}".format(kind, *counts))

# %%
# What they take beforehand: "subsampled" the Hessian of the rows that carry .99 of it, in single
# precision; "nystroem" one product with 200 columns; "block" the ten blocks on the diagonal of the
# Hessian; "jacobi" its diagonal.
#
# The errors of one test row's scores on the way:

_, ax = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
right = model.set_params(solver="cholesky").influence_scores(X_test[:1], y_test[:1])
for kind in kinds:
    taken, errors = [], []
    for rtol in 10.0 ** -np.arange(1, 10, 2):
        model.set_params(solver=CG(rtol=rtol, preconditioner=kind))
        model.influence_scores(X_test[1:2], y_test[1:2])
        taken.append(products(model, 0, 1))
        errors.append(error(model.influence_scores(X_test[:1], y_test[:1]), right))
    ax.loglog(taken, errors, "o-", label=str(kind))
ax.set_xlabel("products with the curvature, one test row")
ax.set_ylabel("relative error of its scores")
ax.legend(title="preconditioner", frameon=False)
ax.spines[["top", "right"]].set_visible(False)
