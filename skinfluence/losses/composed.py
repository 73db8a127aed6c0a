"""Losses made of others: several targets a row, a transformed target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skinfluence.losses.base import Loss, hand_on
from skinfluence.typing import Array

__all__ = ["Joint", "TransformedTarget"]

STEP = float(np.cbrt(np.finfo(float).eps))
"""Relative step of a central difference: its two errors are alike, about 1e-10."""


@dataclass(frozen=True, eq=False)
class Joint(Loss):
    """Several targets a row, each with a loss of its own; the outputs are concatenated.

    Encoded targets are the parts' own, concatenated: one column of codes for a part without
    an axis of outputs. `shift_invariant` is False although a part may be: no *common* shift of all
    outputs is meant then; `shift_groups` says which outputs shift together.

    Parameters
    ----------
    parts : tuple of Loss
        One for each column of the targets.
    """

    parts: tuple[Loss, ...]

    def __post_init__(self) -> None:
        parts = self.parts
        limited = [p.targets for p in parts if p.targets is not None]
        common = tuple(name for name in (limited or [()])[0] if all(name in t for t in limited))
        hand_on(
            self,
            parts,
            n_outputs=sum(p.n_outputs for p in parts),
            separable=all(p.separable for p in parts),
            shift_invariant=False,
            identical_outputs=self._equal_hessians(),
            targets=common if limited else None,
            multilabel=any(p.classes is not None for p in parts),
            has_probabilities=all(p.has_probabilities for p in parts),
        )

    def _equal_hessians(self) -> bool:
        parts = self.parts
        if not all(p.identical_outputs and p.separable and p.constant_hessian for p in parts):
            return False
        each = [p.hessian(*np.zeros((2, 1, p.n_outputs))) for p in parts]
        return bool(np.ptp(np.concatenate(each, axis=-1)) == 0.0)

    @property
    def n_responses(self) -> int:
        return self.n_outputs if self.multilabel else sum(p.n_responses for p in self.parts)

    def output_names(self, targets: Sequence[str]) -> list[str]:
        """Return the name of each target, with the class where it has more than two."""
        return [
            target if part.n_outputs == 1 else f"{target} = {name}"
            for part, target in zip(self.parts, targets, strict=True)
            for name in part.output_names([target])
        ]

    @property
    def target_width(self) -> int:
        return sum(max(p.target_width, 1) for p in self.parts)

    def at_temperature(self, temperature: float) -> Loss:
        if self.temperature is None:
            return super().at_temperature(temperature)
        moved = (p if p.temperature is None else p.at_temperature(temperature) for p in self.parts)
        return replace(self, parts=tuple(moved))

    def shift_groups(self) -> list[slice]:
        groups = zip(self._slices([p.n_outputs for p in self.parts]), self.parts, strict=True)
        return [
            slice(at.start + group.start, at.start + group.stop)
            for at, part in groups
            for group in part.shift_groups()
        ]

    @staticmethod
    def _slices(widths: list[int]) -> list[slice]:
        ends = np.cumsum(widths).tolist()
        return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]

    def _places(self) -> list[tuple[Loss, slice]]:
        places = self._slices([p.n_outputs for p in self.parts])
        return list(zip(self.parts, places, strict=True))

    def _split(self, y: Array, eta: Array) -> list[tuple[Loss, Array, Array]]:
        """Return every part with its targets and raw predictions."""
        columns = self._slices([max(p.target_width, 1) for p in self.parts])
        split = []
        for (part, at), column in zip(self._places(), columns, strict=True):
            own = y[..., column] if part.target_width else y[..., column.start]
            if part.target_width == 0 and part.classes is not None:
                own = own.astype(np.intp)
            split.append((part, own, eta[..., at]))
        return split

    def encode(self, y: Any) -> Array:
        y = np.asarray(y)
        if y.ndim != 2 or y.shape[1] != len(self.parts):
            raise ValueError(
                f"Targets of shape {y.shape} were given; the model has {len(self.parts)} targets, "
                f"so shape (n_samples, {len(self.parts)}) is accepted. Pass one column for each."
            )
        encoded = [
            np.asarray(part.encode(column), float).reshape(len(y), -1)
            for part, column in zip(self.parts, _columns(y), strict=True)
        ]
        return np.concatenate(encoded, axis=1)

    def value(self, y: Array, eta: Array) -> Array:
        values = [part.value(own, at) for part, own, at in self._split(y, eta)]
        return np.sum(values, axis=0)

    def gradient(self, y: Array, eta: Array) -> Array:
        parts = [part.gradient(own, at) for part, own, at in self._split(y, eta)]
        return np.concatenate(parts, axis=-1)

    def hessian(self, y: Array, eta: Array) -> Array:
        parts = [part.hessian(own, at) for part, own, at in self._split(y, eta)]
        if self.separable:
            return np.concatenate(parts, axis=-1)
        K = self.n_outputs
        lead = np.broadcast_shapes(eta.shape[:-1], y.shape[:-1])
        G = np.zeros((*lead, K, K))
        for (part, at), block in zip(self._places(), parts, strict=True):
            if part.separable:
                k = np.arange(at.start, at.stop)
                G[..., k, k] = block
            else:
                G[..., at, at] = block
        return G

    def expected_hessian(self, y: Array, eta: Array) -> Array | None:
        parts = [part.expected_hessian(own, at) for part, own, at in self._split(y, eta)]
        known = [part for part in parts if part is not None]
        return np.concatenate(known, axis=-1) if len(known) == len(parts) else None

    def residual(self, y: Array, eta: Array) -> Array:
        parts = [part.residual(own, at) for part, own, at in self._split(y, eta)]
        return np.concatenate(parts, axis=-1)

    def hessian_product(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        products = [part.hessian_product(own, at) for part, own, at in self._split(y, eta)]
        return self._apply(products)

    def hessian_entries(self, y: Array, eta: Array) -> Callable[[int, int], Array]:
        split = self._split(y, eta)
        diagonals = [p.hessian(own, at) if p.separable else None for p, own, at in split]
        entries = [None if p.separable else p.hessian_entries(own, at) for p, own, at in split]
        lead = np.broadcast_shapes(eta.shape[:-1], y.shape[:-1])

        def entry(k: int, m: int) -> Array:
            for (_, at), diagonal, block in zip(self._places(), diagonals, entries, strict=True):
                if at.start <= k < at.stop and at.start <= m < at.stop:
                    if block is not None:
                        return block(k - at.start, m - at.start)
                    if diagonal is not None and k == m:
                        return diagonal[..., k - at.start]
            return np.zeros(lead)

        return entry

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return self._apply([p.gradient_change(own, at) for p, own, at in self._split(y, eta)])

    def _apply(self, maps: list[Callable[[Array], Array]]) -> Callable[[Array], Array]:
        """Return the map that applies each map to the outputs of its part."""
        places = [at for _, at in self._places()]

        def apply(v: Array) -> Array:
            parts = [of_part(v[..., at]) for of_part, at in zip(maps, places, strict=True)]
            return np.concatenate(parts, axis=-1)

        return apply

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        split, places = self._split(y, eta), self._places()
        changes = [
            part.change(own, raw, delta[..., at])
            for (part, own, raw), (_, at) in zip(split, places, strict=True)
        ]
        return np.sum(changes, axis=0)

    def response(self, eta: Array) -> Array:
        parts = [p.response(eta[..., at])[..., _first(p) :] for p, at in self._places()]
        return np.concatenate(parts, axis=-1)

    def given_probabilities(self, y: Any, eta: Array) -> Array:
        columns = _columns(np.asarray(y))
        places = zip(self._places(), columns, strict=True)
        return np.stack([p.given_probabilities(own, eta[..., at]) for (p, at), own in places], 1)

    def response_gradient(self, eta: Array, index: Array) -> Array:
        out = np.zeros_like(eta)
        columns = self._slices([p.n_responses for p in self.parts])
        for (part, at), column in zip(self._places(), columns, strict=True):
            mine = (index >= column.start) & (index < column.stop)
            own = np.clip(index - column.start, 0, part.n_responses - 1) + _first(part)
            out[..., at] = np.where(mine[..., None], part.response_gradient(eta[..., at], own), 0.0)
        return out

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        parts = [part.distance_to_bend(own, at) for part, own, at in self._split(y, eta)]
        return np.concatenate(parts, axis=-1)

    def decide(self, eta: Array) -> Array:
        return np.stack([p.decide(eta[..., at]) for p, at in self._places()], axis=-1)

    def is_separated(self, y: Array, eta: Array) -> Array:
        parts = [part.is_separated(own, at) for part, own, at in self._split(y, eta)]
        return np.all(parts, axis=0)


def _columns(y: Array) -> list[Array]:
    """Return the columns of targets; lists, so that one of a table of objects finds its type."""
    return [np.asarray(column.tolist()) if y.dtype == object else column for column in y.T]


def _first(part: Loss) -> int:
    """Return the first response that is told: of the probabilities of two classes the second."""
    classes = part.classes if part.has_probabilities else None
    return int(classes is not None and part.n_outputs < len(classes))


@dataclass(frozen=True, eq=False)
class TransformedTarget(Loss):
    """A loss of transformed targets, as in `sklearn.compose.TransformedTargetRegressor`.

    The loss and its derivatives are in units of the transformed target; only the response is
    transformed back.

    Parameters
    ----------
    loss : Loss
        Of a regressor.
    forward : callable
        From targets, of the shape they are given in, to what the loss encodes.
    inverse : callable
        Back, row by row, on arrays of shape (n, n_responses). Its derivative is a central
        difference with a relative step of 6e-6, in error by about 1e-10 of it for smooth functions.
    scale : float
        Typical size of transformed targets: the step at smaller ones is that at it.
    """

    loss: Loss
    forward: Callable[[Array], Array]
    inverse: Callable[[Array], Array]
    scale: float = 1.0

    def __post_init__(self) -> None:
        loss = self.loss
        hand_on(
            self,
            [loss],
            n_outputs=loss.n_outputs,
            separable=loss.separable,
            targets=loss.targets,
        )

    @property
    def n_responses(self) -> int:
        return self.loss.n_responses

    @property
    def target_width(self) -> int:
        return self.loss.target_width

    def output_names(self, targets: Sequence[str]) -> list[str]:
        return self.loss.output_names(targets)

    def at_temperature(self, temperature: float) -> Loss:
        return replace(self, loss=self.loss.at_temperature(temperature))

    def shift_groups(self) -> list[slice]:
        return self.loss.shift_groups()

    def encode(self, y: Any) -> Array:
        y = np.asarray(y, dtype=np.float64)
        moved = np.asarray(self.forward(y))
        outside = (
            np.isfinite(y) & ~np.isfinite(moved).reshape(y.shape) if moved.size == y.size else []
        )
        if np.any(outside):
            raise ValueError(
                f"The transformation of the target gave NaN or infinity for {int(np.sum(outside))} "
                f"target(s), the first {y[outside][0]:g}; targets in its domain are accepted. Drop "
                "these rows, or use another transformation."
            )
        return self.loss.encode(moved)

    def value(self, y: Array, eta: Array) -> Array:
        return self.loss.value(y, eta)

    def gradient(self, y: Array, eta: Array) -> Array:
        return self.loss.gradient(y, eta)

    def hessian(self, y: Array, eta: Array) -> Array:
        return self.loss.hessian(y, eta)

    def expected_hessian(self, y: Array, eta: Array) -> Array | None:
        return self.loss.expected_hessian(y, eta)

    def residual(self, y: Array, eta: Array) -> Array:
        return self.loss.residual(y, eta)

    def hessian_product(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return self.loss.hessian_product(y, eta)

    def hessian_entries(self, y: Array, eta: Array) -> Callable[[int, int], Array]:
        return self.loss.hessian_entries(y, eta)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return self.loss.gradient_change(y, eta)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        return self.loss.change(y, eta, delta)

    def _back(self, response: Array) -> Array:
        """Return the transform back of responses, shape (..., n_responses)."""
        flat = response.reshape(-1, response.shape[-1])
        return np.asarray(self.inverse(flat), dtype=np.float64).reshape(response.shape)

    def response(self, eta: Array) -> Array:
        return self._back(self.loss.response(eta))

    def response_gradient(self, eta: Array, index: Array) -> Array:
        here = self.loss.response(eta)
        index = np.broadcast_to(index, here.shape[:-1])
        out: Array = np.zeros_like(eta)
        for k in range(self.n_responses):  # an inverse may mix them
            slope = np.take_along_axis(self._slope(here, k), index[..., None], axis=-1)
            out = out + slope * self.loss.response_gradient(eta, np.full_like(index, k))
        if not np.all(np.isfinite(out)):
            raise ValueError(
                "The inverse of the target's transformation has no finite derivative at a "
                "prediction. Use method='newton' or 'exact', which need none, or "
                "target='linear_predictor'."
            )
        return out

    def _slope(self, here: Array, k: int) -> Array:
        """Return the derivative of the inverse in its k-th argument, by differences."""
        h = np.zeros_like(here)
        h[..., k] = STEP * np.maximum(np.abs(here[..., k]), self.scale)
        with np.errstate(all="ignore"):
            ends = [self._back(here + h), self._back(here), self._back(here - h)]
        both, width = ends[0] - ends[2], 2.0 * h[..., k : k + 1]
        # At the edge of its domain an inverse is known on one side alone.
        one_sided = np.where(np.isfinite(ends[0]), ends[0] - ends[1], ends[1] - ends[2])
        return np.where(np.isfinite(both), both / width, 2.0 * one_sided / width)

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        return self.loss.distance_to_bend(y, eta)

    def is_separated(self, y: Array, eta: Array) -> Array:
        return self.loss.is_separated(y, eta)
