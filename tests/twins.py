"""Slow twins of the convex models: what scikit-learn minimises, written again from its papers.

    F(theta) = sum_i sum_t W_it terms(eta_i, y_i)_t + 1/2 theta' A theta + lam' |theta|

Nothing here imports the package. The terms are autograd functions of raw predictions eta, whose
outputs are linear in theta; minima are found by Newton steps, with soft thresholds where there is
an l1 penalty, from theta = 0: no parameter of a fitted scikit-learn model is read. A row leaves by
its `ratio` of 1 going to 0: it then neither weighs nor counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from scipy.linalg import block_diag
from sklearn.metrics.pairwise import pairwise_kernels

Array = Any
STEPS = 200


@dataclass(frozen=True)
class Twin:
    """An objective over training rows that can be asked about other rows.

    Attributes
    ----------
    designs : callable
        From X to one matrix per raw prediction.
    terms : callable
        From eta (m, K) and encoded targets to (m, T); a row's loss is the sum of its terms.
    encode : callable
        From targets as the user has them to what `terms` takes.
    W : array of shape (n, T)
    A : array of shape (P, P)
    lam : array of shape (P,)
    response : callable
        From eta to predictions.
    start : array of shape (P,)
    """

    X: Array
    y: Array
    designs: Callable[[Array], list[Array]]
    terms: Callable[[Array, Array], Array]
    encode: Callable[[Array], Array]
    W: Array
    A: Array
    lam: Array
    start: Array
    response: Callable[[Array], Array] = lambda eta: eta

    def raw(self, theta, X=None):
        blocks = self.designs(self.X if X is None else X)
        spans = spans_of([D.shape[1] for D in blocks])
        etas = [anp.dot(D, theta[span]) for D, span in zip(blocks, spans, strict=True)]
        return anp.stack(etas, axis=1)

    def loss_of(self, theta, X, y):
        return np.sum(self.terms(self.raw(theta, X), self.encode(y)), axis=1)

    def weighed(self, eta):
        return anp.sum(self.W * self.terms(eta, self.encode(self.y)))

    def smooth(self, theta):
        return self.weighed(self.raw(theta)) + 0.5 * anp.dot(theta, anp.dot(self.A, theta))

    def value(self, theta):
        with np.errstate(all="ignore"):
            found = self.smooth(theta) + self.lam @ np.abs(theta)
        return found if np.isfinite(found) else np.inf

    def gradient(self, theta):
        return autograd.grad(self.smooth)(theta)

    def hessian(self, theta):
        """Return D' G D + A, the second derivatives G of the terms by autograd."""
        blocks, eta = self.designs(self.X), self.raw(theta)
        pairs = list(zip(spans_of([D.shape[1] for D in blocks]), blocks, strict=True))
        slope = autograd.grad(self.weighed)
        H = np.array(self.A, dtype=float)
        for k, (rows, D) in enumerate(pairs):
            G = autograd.grad(lambda e, k=k: anp.sum(slope(e)[:, k]))(eta)
            for m, (columns, E) in enumerate(pairs):
                H[rows, columns] += (D * G[:, m : m + 1]).T @ E
        return H

    def slope(self, theta):
        """Return the gradient where F moves, 0 where a threshold holds a parameter at 0."""
        g = self.gradient(theta)
        pull = np.sign(theta)
        pull = np.where(pull == 0, -np.sign(g) * (np.abs(g) > self.lam), pull)
        return np.where((theta == 0) & (pull == 0) & (self.lam > 0), 0.0, g + self.lam * pull)


def spans_of(widths):
    """Return the slices that lay blocks of these widths side by side."""
    ends = np.cumsum(widths)
    return [slice(end - width, end) for width, end in zip(widths, ends, strict=True)]


def minimise(twin, theta=None):
    """Return the minimiser, by Newton steps on the parameters that are not held at 0."""
    theta = np.array(twin.start if theta is None else theta, dtype=float)
    scale = 1.0 + np.abs(twin.gradient(np.array(twin.start, dtype=float))).max()
    best, stalled = (np.inf, theta), 0
    for _ in range(STEPS):
        g = twin.slope(theta)
        size = np.abs(g).max()
        stalled += size >= 0.5 * best[0] and best[0] <= 1e-8 * scale
        if stalled == 4 or (stalled and best[0] <= 1e-11 * scale):
            break
        best = min((size, theta), best, key=lambda one: one[0])
        if size <= 1e-15 * scale:
            break
        theta = _step(twin, theta, g)
    size, theta = best
    assert size <= 1e-8 * scale, f"the twin was not minimised: {size} of {scale}"
    return theta


def _step(twin, theta, g):
    free = (theta != 0) | (g != 0) | (twin.lam == 0)
    bound = np.where(theta != 0, np.sign(theta), -np.sign(g))
    values, U = np.linalg.eigh(twin.hessian(theta)[np.ix_(free, free)])
    # Flat directions (a gauge) are left alone; where it bends down, |curvature|.
    curved = np.abs(values) > 1e-13 * np.abs(values).max()
    step = np.zeros_like(theta)
    inverse = np.divide(1.0, np.abs(values), out=np.zeros_like(values), where=curved)
    step[free] = U @ (inverse * (U.T @ g[free]))
    before, steep = twin.value(theta), np.abs(g).max()
    for length in 0.5 ** np.arange(50):
        moved = theta - length * step
        moved = np.where((twin.lam > 0) & (moved * bound < 0), 0.0, moved)
        after = twin.value(moved)
        rounding = 1e-13 * (1.0 + abs(before))
        if after < before - rounding:
            return moved
        if after < before + rounding and np.abs(twin.slope(moved)).max() < steep:
            return moved
    # A proximal step: where the projected Newton step does not go down.
    length = 1.0 / np.abs(values).max()
    moved = theta - length * twin.gradient(theta)
    return np.sign(moved) * np.maximum(np.abs(moved) - length * twin.lam, 0.0)


def minimiser(make, theta=None, t=None):
    """Return (twin, its minimiser) of ``make(t)``; smoothed losses from a smoother one down."""
    twin = make(t)
    if theta is not None and len(theta) == len(twin.A):
        try:
            return twin, minimise(twin, theta)
        except AssertionError:
            pass
    start = None
    if t is not None:
        for warmer in [s for s in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001) if s > t]:
            start = minimise(make(warmer), start)
    return twin, minimise(twin, start)


# ------------------------------------------------------------------------------------- the terms


def logistic(m):
    return anp.logaddexp(0.0, -m)


def smooth_hinge(t):
    return lambda m: t * anp.logaddexp(0.0, (1.0 - m) / t)


def squared_hinge(m):
    return anp.maximum(0.0, 1.0 - m) ** 2


def modified_huber(m):
    return anp.where(m >= -1.0, anp.maximum(0.0, 1.0 - m) ** 2, -4.0 * m)


def half_square(r):
    return 0.5 * r**2


def huber(epsilon):
    far = lambda r: epsilon * anp.abs(r) - 0.5 * epsilon**2  # noqa: E731
    return lambda r: anp.where(anp.abs(r) <= epsilon, 0.5 * r**2, far(r))


def smooth_insensitive(epsilon, t):
    def loss(r):
        above, below = (r - epsilon) / t, (-r - epsilon) / t
        return t * anp.logaddexp(0.0, above) + t * anp.logaddexp(0.0, below)

    return loss


def squared_insensitive(epsilon):
    return lambda r: anp.maximum(0.0, anp.abs(r) - epsilon) ** 2


def of_margin(phi):
    """Return terms phi(sign * eta); none where the sign is 0: the row is of neither class."""
    return lambda eta, sign: anp.abs(sign) * phi(sign * eta)


def of_residual(rho):
    return lambda eta, y: rho(eta - y)


def multinomial(eta, hot):
    top = anp.max(eta, axis=1, keepdims=True)
    lse = top[:, 0] + anp.log(anp.sum(anp.exp(eta - top), axis=1))
    return (lse - anp.sum(hot * eta, axis=1))[:, None]


def concomitant(epsilon):
    """Return HuberRegressor's sigma + sigma H(r / sigma) of the raw predictions (eta, sigma)."""

    def terms(eta, y):
        sigma = eta[:, 1:]
        if np.any(getattr(sigma, "_value", sigma) <= 0):
            return sigma * np.nan
        z = (eta[:, :1] - y) / sigma
        near = anp.abs(z) < epsilon
        H = anp.where(near, z**2, 2.0 * epsilon * anp.abs(z) - epsilon**2)
        return sigma + sigma * H

    return terms


def half_deviance(power, link):
    """Return half the unit deviance of the Tweedie family, up to a constant of y."""

    def terms(eta, y):
        mu = anp.exp(eta) if link == "log" else eta
        if power == 0:
            return 0.5 * (y - mu) ** 2
        if power == 1:
            return mu - y * anp.log(mu) + _xlogx(y) - y
        if power == 2:
            return anp.log(mu) + y / mu - np.log(y) - 1.0
        own = np.maximum(y, 0.0) ** (2 - power) / ((1 - power) * (2 - power))
        return own - y * mu ** (1 - power) / (1 - power) + mu ** (2 - power) / (2 - power)

    return terms


def _xlogx(y):
    return y * np.log(np.where(y > 0, y, 1.0))


# --------------------------------------------------------------------------------- encoded targets


def signs(classes):
    """Return +-1 for two classes, else one column per class versus the rest."""

    def encode(y):
        hot = np.where(np.asarray(y)[:, None] == classes, 1.0, -1.0)
        return hot[:, 1:] if len(classes) == 2 else hot

    return encode


def pair_signs(classes):
    """Return a column per pair a < b: +1 for b, -1 for a, 0 for others."""
    pairs = list(combinations(classes, 2))

    def encode(y):
        y = np.asarray(y)
        return np.column_stack([1.0 * (y == b) - 1.0 * (y == a) for a, b in pairs])

    return encode


def hot(classes):
    return lambda y: 1.0 * (np.asarray(y)[:, None] == classes)


def columns(y):
    y = np.asarray(y, dtype=float)
    return y.reshape(len(y), -1)


# ---------------------------------------------------------------------------------------- weights


def class_weights(scheme, y, c):
    """Return the class weight of every row; "balanced" with counts c."""
    if scheme is None:
        return np.ones(len(y))
    if isinstance(scheme, dict):
        return np.array([scheme.get(label, 1.0) for label in y])
    present = np.unique(y[c > 0])
    total = {label: c[y == label].sum() for label in np.unique(y)}
    return np.array([c.sum() / (len(present) * max(total[label], 1e-300)) for label in y])


# ------------------------------------------------------------------------------------- the models


def twin_of(estimator, X, y, s=None, *, ratio=None, t=None, counts="rows"):
    """Return the twin of a fitted estimator (its hyper-parameters) on rows X, y of weights s."""
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    s = np.ones(len(X)) if s is None else np.asarray(s, dtype=float)
    ratio = np.ones(len(X)) if ratio is None else ratio
    return MODELS[type(estimator).__name__](estimator, X, y, s, ratio, t, counts)


def _linear(estimator, X, y, terms, encode, w, l2, *, l2_intercept=0.0, lam=0.0, **more):
    """Return the twin of K coefficient vectors with the same penalty and design."""
    intercept = estimator.fit_intercept

    def designs(Z):
        Z = np.asarray(Z, dtype=float)
        one = np.column_stack([Z, np.ones(len(Z))]) if intercept else Z
        return [one] * K

    K = encode(y).shape[1]
    own = np.full(X.shape[1], float(l2))
    held = np.full(X.shape[1], float(lam))
    lam_intercept = more.pop("lam_intercept", 0.0)
    if intercept:
        own = np.append(own, l2_intercept)
        held = np.append(held, lam_intercept)
    A, lam = np.diag(np.tile(own, K)), np.tile(held, K)
    W = w if np.ndim(w) == 2 else w[:, None]
    start = more.pop("start", np.zeros(len(A)))
    return Twin(X, y, designs, terms, encode, W, A, lam, start, **more)


def _logistic_regression(e, X, y, s, ratio, t, counts):
    w = s * ratio * class_weights(e.class_weight, y, ratio * (s if counts == "weights" else 1.0))
    classes = np.unique(y)
    ratio_l1 = {"l1": 1.0, "l2": 0.0}.get(e.penalty, e.l1_ratio)
    ratio_l1 = 0.0 if ratio_l1 is None else ratio_l1
    parts = {"l2": (1.0 - ratio_l1) / e.C, "lam": ratio_l1 / e.C}
    if e.solver == "liblinear":
        parts["l2_intercept"] = parts["l2"] / e.intercept_scaling**2
        parts["lam_intercept"] = parts["lam"] / e.intercept_scaling
    if len(classes) == 2:
        return _linear(e, X, y, of_margin(logistic), signs(classes), w, **parts)
    return _linear(e, X, y, multinomial, hot(classes), w, **parts)


def _linear_svc(e, X, y, s, ratio, t, counts):
    phi = squared_hinge if e.loss == "squared_hinge" else smooth_hinge(t)
    classes = np.unique(y)
    cw = class_weights(e.class_weight, y, ratio * (s if counts == "weights" else 1.0))
    w = (s * ratio * cw)[:, None]
    if len(classes) > 2:
        # liblinear weighs the rows of the class that is told from the rest, not the rest.
        own = np.asarray(y)[:, None] == classes
        w = np.where(own, w, (s * ratio)[:, None])
    parts = {"l2": 1.0 / e.C, "l2_intercept": 1.0 / (e.C * e.intercept_scaling**2)}
    if e.penalty == "l1":
        held = {"lam": 1.0 / e.C, "lam_intercept": 1.0 / (e.C * e.intercept_scaling)}
        parts = {"l2": 0.0, **held}
    return _linear(e, X, y, of_margin(phi), signs(classes), w, **parts)


def _smooth_linear_svc(e, X, y, s, ratio, t, counts):
    w = s * ratio * class_weights(e.class_weight, y, s * ratio)
    phi = smooth_hinge(e.temperature if t is None else t)
    own = 0.0 if e.intercept_scaling is None else 1.0 / (e.C * e.intercept_scaling**2)
    return _linear(e, X, y, of_margin(phi), signs(np.unique(y)), w, l2=1.0 / e.C, l2_intercept=own)


def _linear_svr(e, X, y, s, ratio, t, counts):
    squared = e.loss == "squared_epsilon_insensitive"
    rho = squared_insensitive(e.epsilon) if squared else smooth_insensitive(e.epsilon, t)
    l2 = {"l2": 1.0 / e.C, "l2_intercept": 1.0 / (e.C * e.intercept_scaling**2)}
    return _linear(e, X, y, of_residual(rho), columns, s * ratio, **l2)


def _glm(e, X, y, s, ratio, t, counts):
    power = {"PoissonRegressor": 1, "GammaRegressor": 2}.get(type(e).__name__)
    power = e.power if power is None else power
    link = getattr(e, "link", "log")
    link = ("identity" if power <= 0 else "log") if link == "auto" else link
    w = s * ratio
    response = anp.exp if link == "log" else (lambda eta: eta)
    terms = half_deviance(power, link)
    start = np.zeros(X.shape[1] + e.fit_intercept)
    if link == "identity" and power != 0:  # begin where means are positive, as they have to be
        start[-1] = np.mean(y)
    alpha = e.alpha * w.sum()
    return _linear(e, X, y, terms, columns, w, alpha, response=response, start=start)


def _huber(e, X, y, s, ratio, t, counts):
    w = s * ratio
    inner = _linear(e, X, y, concomitant(e.epsilon), columns, w, 2.0 * e.alpha)
    P = len(inner.A) + 1
    A = np.zeros((P, P))
    A[:-1, :-1] = inner.A
    return replace(
        inner,
        designs=lambda Z: [inner.designs(Z)[0], np.ones((len(Z), 1))],
        A=A,
        lam=np.zeros(P),
        start=np.append(np.zeros(P - 1), np.abs(y).mean()),
        response=lambda eta: eta[:, :1],
    )


def _least_squares(e, X, y, s, ratio, t, counts):
    w = s * ratio
    alpha = getattr(e, "alpha", 0.0)  # LinearRegression has none
    share = {"Lasso": 1.0}.get(type(e).__name__, getattr(e, "l1_ratio", 0.0))
    if type(e).__name__ in ("Lasso", "ElasticNet"):
        alpha = alpha * w.sum()
    terms = of_residual(half_square)
    return _linear(e, X, y, terms, columns, w, alpha * (1.0 - share), lam=alpha * share)


def _ridge_classifier(e, X, y, s, ratio, t, counts):
    w = s * ratio * class_weights(e.class_weight, y, ratio)
    return _linear(e, X, y, of_residual(half_square), signs(np.unique(y)), w, e.alpha)


def _sgd(e, X, y, s, ratio, t, counts):
    margins = {
        "log_loss": logistic,
        "hinge": smooth_hinge(t),
        "squared_hinge": squared_hinge,
        "modified_huber": modified_huber,
    }
    residuals = {
        "squared_error": half_square,
        "huber": huber(e.epsilon),
        "epsilon_insensitive": smooth_insensitive(e.epsilon, t),
        "squared_epsilon_insensitive": squared_insensitive(e.epsilon),
    }
    of = of_margin(margins[e.loss]) if e.loss in margins else of_residual(residuals[e.loss])
    w, encode = s * ratio, columns
    if type(e).__name__ == "SGDClassifier":
        w, encode = w * class_weights(e.class_weight, y, ratio), signs(np.unique(y))
    share = {"l2": 0.0, "l1": 1.0, None: 0.0}.get(e.penalty, e.l1_ratio)
    alpha = 0.0 if e.penalty is None else e.alpha * ratio.sum()
    return _linear(e, X, y, of, encode, w, alpha * (1.0 - share), lam=alpha * share)


def _kernel(X, y, kernel, terms, encode, w, penalty, *, intercept, **more):
    """Return the twin of f = features of a kernel, |f|^2 penalised; the features from eigenvectors.

    Eigenvalues are cut where they are rounding: what they add to f is of their own size.
    """
    values, U = np.linalg.eigh(kernel(X, X))
    kept = values > 1e-13 * values.max()
    root = U[:, kept] / np.sqrt(values[kept])
    K = encode(y).shape[1]

    def designs(Z):
        D = kernel(np.asarray(Z, dtype=float), X) @ root
        return [np.column_stack([D, np.ones(len(D))]) if intercept else D] * K

    own = np.append(np.ones(kept.sum()), 0.0) if intercept else np.ones(kept.sum())
    A = penalty * np.diag(np.tile(own, K))
    W = w[:, None]
    return Twin(X, y, designs, terms, encode, W, A, np.zeros(len(A)), np.zeros(len(A)), **more)


def _kernel_of(e, p):
    if callable(e.kernel):
        return e.kernel
    gamma = getattr(e, "gamma", None)
    params = {"gamma": 1.0 / p if gamma is None else gamma, "degree": e.degree, "coef0": e.coef0}
    return lambda P, Q: pairwise_kernels(P, Q, metric=e.kernel, filter_params=True, **params)


def _svm(e, X, y, s, ratio, t, counts):
    kernel, w = _kernel_of(e, X.shape[1]), s * ratio
    if type(e).__name__ == "SVR":
        terms, encode = of_residual(smooth_insensitive(e.epsilon, t)), columns
    else:
        w = w * class_weights(e.class_weight, y, ratio)
        terms, encode = of_margin(smooth_hinge(t)), pair_signs(np.unique(y))
    return _kernel(X, y, kernel, terms, encode, w, 1.0 / e.C, intercept=True)


def _kernel_ridge(e, X, y, s, ratio, t, counts):
    kernel = _kernel_of(e, X.shape[1])
    terms = of_residual(half_square)
    return _kernel(X, y, kernel, terms, columns, s * ratio, e.alpha, intercept=False)


def _gaussian_process(e, X, y, s, ratio, t, counts):
    kernel = getattr(e, "kernel_", e.kernel)
    noise = np.diag(kernel(X)) - np.diag(kernel(X, X)) + e.alpha  # a WhiteKernel is of kernel(X)
    terms = of_residual(half_square)
    return _kernel(X, y, kernel, terms, columns, s * ratio / noise, 1.0, intercept=False)


# -------------------------------------------------------------------------------- meta-estimators


def _one_vs(e, X, y, s, ratio, t, counts):
    """Return the binary twin of the inner estimator as often as there are problems."""
    if type(e).__name__ == "OneVsOneClassifier":
        encode = pair_signs(np.unique(y))
    elif y.ndim == 2:
        encode = lambda Y: 2.0 * np.asarray(Y, dtype=float) - 1.0  # noqa: E731
    else:
        encode = signs(np.unique(y))
    K = encode(y).shape[1]
    one = twin_of(e.estimator, X, np.arange(len(X)) % 2, s, ratio=ratio, t=t, counts=counts)
    return replace(
        one,
        y=y,
        designs=lambda Z: one.designs(Z) * K,
        encode=encode,
        W=np.tile(one.W, K),
        A=block_diag(*[one.A] * K),
        lam=np.tile(one.lam, K),
        start=np.tile(one.start, K),
    )


def _multi_output(e, X, y, s, ratio, t, counts):
    """Return the twins of all columns side by side."""
    parts = [twin_of(e.estimator, X, column, s, ratio=ratio, t=t, counts=counts) for column in y.T]
    spans = spans_of([len(part.designs(X[:1])) for part in parts])
    A = block_diag(*[part.A for part in parts])

    def terms(eta, codes):
        known = zip(parts, spans, codes, strict=True)
        return anp.concatenate([part.terms(eta[:, span], code) for part, span, code in known], 1)

    return Twin(
        X,
        y,
        lambda Z: [D for part in parts for D in part.designs(Z)],
        terms,
        lambda Y: [
            part.encode(column) for part, column in zip(parts, np.asarray(Y).T, strict=True)
        ],
        np.concatenate([np.broadcast_to(p.W, (len(X), _n_terms(p))) for p in parts], axis=1),
        A,
        np.concatenate([part.lam for part in parts]),
        np.concatenate([part.start for part in parts]),
        response=lambda eta: np.column_stack(
            [part.response(eta[:, span]) for part, span in zip(parts, spans, strict=True)]
        ),
    )


def _n_terms(part):
    return part.terms(part.raw(part.start), part.encode(part.y)).shape[1]


def _transformed_target(e, X, y, s, ratio, t, counts):
    inner = twin_of(e.regressor_, X, e.func(y), s, ratio=ratio, t=t)
    # The loss is the inner one, of the transformed target.
    return replace(inner, y=y, encode=lambda v: inner.encode(e.func(v)), response=e.inverse_func)


def _search(e, X, y, s, ratio, t, counts):
    return twin_of(e.best_estimator_, X, y, s, ratio=ratio, t=t, counts=counts)


def _pipeline(e, X, y, s, ratio, t, counts):
    """Return the twin of the last step; the transformers stay as they were fitted."""
    inner = twin_of(e[-1], e[:-1].transform(X), y, s, ratio=ratio, t=t, counts=counts)
    before = e[:-1].transform
    return replace(inner, X=X, designs=lambda Z: inner.designs(before(Z)))


MODELS = {
    "LogisticRegression": _logistic_regression,
    "LinearSVC": _linear_svc,
    "SmoothLinearSVC": _smooth_linear_svc,
    "LinearSVR": _linear_svr,
    **dict.fromkeys(["PoissonRegressor", "GammaRegressor", "TweedieRegressor"], _glm),
    "HuberRegressor": _huber,
    **dict.fromkeys(["LinearRegression", "Ridge", "ElasticNet", "Lasso"], _least_squares),
    "RidgeClassifier": _ridge_classifier,
    **dict.fromkeys(["SGDClassifier", "SGDRegressor"], _sgd),
    **dict.fromkeys(["SVC", "SVR"], _svm),
    "KernelRidge": _kernel_ridge,
    "GaussianProcessRegressor": _gaussian_process,
    **dict.fromkeys(["OneVsRestClassifier", "OneVsOneClassifier"], _one_vs),
    **dict.fromkeys(["MultiOutputRegressor", "MultiOutputClassifier"], _multi_output),
    "TransformedTargetRegressor": _transformed_target,
    "GridSearchCV": _search,
    "Pipeline": _pipeline,
}


# --------------------------------------------------------------- scikit-learn in the twins' outputs


def raw_of(fitted, X):
    """Return a fitted estimator's own raw predictions in the order of its twin's, shape (m, K)."""
    name = type(fitted).__name__
    if name.startswith(("OneVs", "MultiOutput")):
        return np.column_stack([raw_of(one, X) for one in fitted.estimators_])
    if name == "TransformedTargetRegressor":
        return raw_of(fitted.regressor_, X)
    if name == "GridSearchCV":
        return raw_of(fitted.best_estimator_, X)
    if name == "Pipeline":
        return raw_of(fitted[-1], fitted[:-1].transform(X))
    if hasattr(fitted, "decision_function"):
        raw = fitted.decision_function(X).reshape(X.shape[0], -1)
        # libsvm's pairs are positive for the first of the two.
        return -raw if name == "SVC" and raw.shape[1] > 1 else raw
    predicted = fitted.predict(X).reshape(X.shape[0], -1)
    logs = name in ("PoissonRegressor", "GammaRegressor")
    if name == "TweedieRegressor":
        logs = fitted.link == "log" or (fitted.link == "auto" and fitted.power > 0)
    return np.log(predicted) if logs else predicted
