"""Scores of pyDVL: direct, block conjugate gradients, LiSSA; run where pyDVL is installed.

Reads weights, rows and the damping from one .npz, writes scores and seconds to another. pyDVL's
damping belongs to the mean of the losses, and to all parameters; its residual goal is rtol^2 |b|,
so that rtol = .01 there is a residual of 1e-4.
"""

from __future__ import annotations

import argparse
import time
import warnings
from importlib.metadata import version

import numpy as np
import torch

warnings.simplefilter("ignore")
from pydvl.influence.torch import (  # noqa: E402
    CgInfluence,
    DirectInfluence,
    LissaInfluence,
)
from torch.nn import functional  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

ROWS = 500
"""Training rows whose gradients are formed at a time."""


def network(data, dtype):
    layers = []
    for i in range(int(data["depth"])):
        W = data[f"W{i}"]
        layer = torch.nn.Linear(*W.shape, bias=f"b{i}" in data)
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(W.T.copy()))
            if f"b{i}" in data:
                layer.bias.copy_(torch.as_tensor(data[f"b{i}"]))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).to(dtype)


def logistic(outputs, y):
    return functional.binary_cross_entropy_with_logits(outputs[..., 0], y)


def method(args, data, model, loss):
    """Return an influence model; the damping is the sum's over the rows, hence the mean's."""
    shared = {"regularization": float(data["damping"]) / len(data["y"])}
    if args.method == "direct":
        return DirectInfluence(model, loss, **shared)
    if args.method == "cg":
        rtol = float(np.sqrt(data["rtol"]))
        shared |= {"maxiter": args.n_iter, "warn_on_max_iteration": False}
        return CgInfluence(model, loss, rtol=rtol, solve_simultaneously=True, **shared)
    torch.manual_seed(0)
    scale = float(data["scale"]) / len(data["y"])
    return LissaInfluence(model, loss, maxiter=args.n_iter, scale=scale, rtol=0.0, **shared)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("given")
    parser.add_argument("found")
    parser.add_argument("--method", choices=["direct", "cg", "lissa"], default="cg")
    parser.add_argument("--n-iter", type=int)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    clock = time.process_time if args.cpu else time.perf_counter
    dtype = getattr(torch, args.dtype)
    data = np.load(args.given)
    model = network(data, dtype)
    binary = model[-1].out_features == 1
    target = dtype if binary else torch.int64
    X, X_test = (torch.as_tensor(data[name]).to(dtype) for name in ("X", "X_test"))
    y, y_test = (torch.as_tensor(data[name]).to(target) for name in ("y", "y_test"))
    n = len(y)
    start = clock()
    loss = logistic if binary else functional.cross_entropy
    rows = DataLoader(TensorDataset(X, y), batch_size=args.batch)
    influence = method(args, data, model, loss).fit(rows)
    counted = counting(influence)
    factors = influence.influence_factors(X_test, y_test)
    blocks = [slice(at, at + ROWS) for at in range(0, n, ROWS)]
    scores = [influence.influences_from_factors(factors, X[part], y[part]) for part in blocks]
    scores = torch.cat(scores, dim=1)
    seconds = clock() - start
    sample = data["sample"] if "sample" in data else slice(None)
    np.savez(
        args.found,
        scores=scores.detach().double().numpy()[sample] / n,
        factors=factors.detach().double().numpy()[sample] / n,
        seconds=seconds,
        products=counted,
        version=version("pydvl"),
        torch=torch.__version__,
    )


def counting(influence):
    """Return [products, columns] with the Hessian, counted from here on."""
    (block,) = influence.block_mapper.composable_block_dict.values()
    counted = [0, 0]
    operator = getattr(block.op, "operator", None)
    if operator is None:
        return counted
    times = operator.apply

    def apply(V):
        counted[0] += 1
        counted[1] += 1 if V.ndim == 1 else len(V)
        return times(V)

    operator.apply = apply
    return counted


if __name__ == "__main__":
    main()
