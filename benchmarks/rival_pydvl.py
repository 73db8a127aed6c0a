"""Scores of pyDVL's block conjugate gradients; networks.py runs this where pyDVL is installed.

Reads weights, rows and the damping from one .npz, writes scores and seconds to another. pyDVL's
residual goal is rtol^2 |b|, so that rtol = .01 there is a residual of 1e-4; its damping belongs to
the mean of the losses.
"""

from __future__ import annotations

import argparse
import time
import warnings
from importlib.metadata import version

import numpy as np
import torch

warnings.simplefilter("ignore")
from pydvl.influence.torch import CgInfluence  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

ROWS = 500
"""Training rows whose gradients are formed at a time."""


def network(data, dtype):
    layers = []
    for i in range(int(data["depth"])):
        W, b = data[f"W{i}"], data[f"b{i}"]
        layer = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(W.T.copy()))
            layer.bias.copy_(torch.as_tensor(b))
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).to(dtype)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("given")
    parser.add_argument("found")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    clock = time.process_time if args.cpu else time.perf_counter
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    data = np.load(args.given)
    X, X_test = (torch.as_tensor(data[name]).to(dtype) for name in ("X", "X_test"))
    y, y_test = (torch.as_tensor(data[name].astype(np.int64)) for name in ("y", "y_test"))
    model = network(data, dtype)
    n = len(y)
    start = clock()
    influence = CgInfluence(
        model,
        torch.nn.functional.cross_entropy,
        regularization=float(data["damping"]) / n,
        rtol=float(np.sqrt(data["rtol"])),
        solve_simultaneously=True,
    ).fit(DataLoader(TensorDataset(X, y), batch_size=args.batch))
    counted = counting(influence)
    factors = influence.influence_factors(X_test, y_test)
    after = clock()
    blocks = [slice(at, at + ROWS) for at in range(0, n, ROWS)]
    scores = [influence.influences_from_factors(factors, X[part], y[part]) for part in blocks]
    end = clock()
    np.savez(
        args.found,
        scores=torch.cat(scores, dim=1).detach().double().numpy() / n,
        seconds=[after - start, end - after],
        products=counted,
        versions=[version("pydvl"), torch.__version__],
    )


def counting(influence):
    """Return [products, columns] with the Hessian, counted from here on."""
    (block,) = influence.block_mapper.composable_block_dict.values()
    operator, counted = block.op.operator, [0, 0]
    times = operator.apply

    def apply(V):
        counted[0] += 1
        counted[1] += 1 if V.ndim == 1 else len(V)
        return times(V)

    operator.apply = apply
    return counted


if __name__ == "__main__":
    main()
