"""Refits of networks that share no code with the package: a gradient by hand, L-BFGS of scipy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, newton_krylov
from scipy.special import logsumexp

try:
    from scipy.optimize import NoConvergence
except ImportError:  # scipy < 1.12
    from scipy.optimize._nonlin import NoConvergence

BOTTOM = 1e-7
"""Norm of the gradient at which a refit is done."""


class Network:
    """A fitted multilayer perceptron as sums of losses over rows, parameters in one vector."""

    def __init__(self, fitted):
        self.fitted = fitted
        self.shapes = [W.shape for W in fitted.coefs_]
        self.alpha = fitted.alpha
        self.classes = getattr(fitted, "classes_", None)

    def start(self):
        pairs = zip(self.fitted.coefs_, self.fitted.intercepts_, strict=True)
        return np.concatenate([part.ravel() for pair in pairs for part in pair])

    def layers(self, theta):
        at = 0
        for d, e in self.shapes:
            yield theta[at : at + d * e].reshape(d, e), theta[at + d * e : at + (d + 1) * e]
            at += (d + 1) * e

    def forward(self, theta, X):
        outputs = [X]
        for i, (W, b) in enumerate(self.layers(theta)):
            Z = outputs[-1] @ W + b
            if i < len(self.shapes) - 1:
                Z = np.tanh(Z) if self.fitted.activation == "tanh" else np.maximum(Z, 0.0)
            outputs.append(Z)
        return outputs

    def losses(self, theta, X, y):
        """Return the loss of every row, shape (n_samples,)."""
        return self._losses(self.forward(theta, X)[-1], y)[0]

    def _losses(self, eta, y):
        if self.classes is None:
            residual = eta[:, 0] - y
            return 0.5 * residual**2, residual[:, None]
        rows, codes = np.arange(len(y)), np.searchsorted(self.classes, y)
        total = logsumexp(eta, axis=1)
        P = np.exp(eta - total[:, None])
        P[rows, codes] -= 1.0
        return total - eta[rows, codes], P

    def value_and_gradient(self, theta, X, y):
        outputs = self.forward(theta, X)
        losses, delta = self._losses(outputs[-1], y)
        value, parts = losses.sum(), []
        layers = list(self.layers(theta))
        for i in range(len(layers) - 1, -1, -1):
            W = layers[i][0]
            value += 0.5 * self.alpha * np.sum(W**2)
            parts.append(delta.sum(axis=0))
            parts.append((outputs[i].T @ delta + self.alpha * W).ravel())
            if i:
                A = outputs[i]
                slope = 1.0 - A**2 if self.fitted.activation == "tanh" else A > 0
                delta = (delta @ W.T) * slope
        return value, np.concatenate(parts[::-1])

    def minimum(self, theta, X, y, maxcor=50, polished=True):
        """Return the minimum reached from theta, and the norm of the gradient there.

        L-BFGS stops near a gradient of 1e-6, where sums of losses round; steps that solve for the
        gradient alone go on from there.
        """

        def gradient(at):
            return self.value_and_gradient(at, X, y)[1]

        options = {"maxcor": maxcor, "ftol": 0.0, "gtol": 1e-2 * BOTTOM, "maxls": 50}
        options |= {"maxiter": 2_000, "maxfun": 4_000}
        norm = np.linalg.norm(gradient(theta))
        for _ in range(3):
            found = minimize(
                self.value_and_gradient, theta, (X, y), "L-BFGS-B", jac=True, options=options
            )
            left = np.linalg.norm(found.jac)
            if left >= norm:
                break
            theta, norm = found.x, left
        if not polished:
            return theta, norm
        try:
            steps = {"f_tol": 0.01 * BOTTOM, "maxiter": 6, "inner_maxiter": 300, "rdiff": 1e-6}
            moved = newton_krylov(gradient, theta, method="minres", **steps)
        except NoConvergence as error:  # at a kink of relu
            moved = error.args[0]
        left = np.linalg.norm(gradient(moved))
        return (moved, left) if left < norm else (theta, norm)
