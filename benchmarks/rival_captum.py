"""Scores of captum: naive influence functions and TracIn; run where captum is installed.

Naive: the Hessian of the summed losses plus the damping, all its eigenvectors; TracIn: the sum over
checkpoints of step times inner products of gradients. Both in the units and with the sign of ours.
"""

from __future__ import annotations

import argparse
import time
import warnings
from importlib.metadata import version

import numpy as np
import torch
from captum.influence import TracInCP
from captum.influence._core.influence_function import NaiveInfluenceFunction
from torch.utils.data import TensorDataset


class Logistic(torch.nn.Module):
    reduction = "sum"

    def forward(self, outputs, y):
        loss = torch.nn.functional.binary_cross_entropy_with_logits
        return loss(outputs[:, 0], y, reduction="sum")


def network(shapes, bias):
    layers = []
    for d, e in shapes:
        layers += [torch.nn.Linear(d, e, bias=bias), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def load(model, stop):
    """Put the weights of a checkpoint into a model; return its step."""
    step, weights = stop
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.as_tensor(value))
    return step


def naive(args, data, model, rows, stops):
    return NaiveInfluenceFunction(
        model,
        rows,
        stops[0],
        checkpoints_load_func=load,
        loss_fn=Logistic(),
        batch_size=args.batch,
        sample_wise_grads_per_batch=True,
        projection_dim=sum(p.numel() for p in model.parameters()),
        hessian_reg=float(data["damping"]),
        hessian_inverse_tol=0.0,
    )


def tracin(args, data, model, rows, stops):
    return TracInCP(
        model,
        rows,
        stops,
        checkpoints_load_func=load,
        loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"),
        batch_size=args.batch,
        sample_wise_grads_per_batch=True,
    )


def checkpoints(data, dtype):
    """Return (step, weights in the order of torch) of every checkpoint."""
    depth = int(data["depth"])
    stops = []
    for k, step in enumerate(data["steps"]):
        weights = []
        for i in range(depth):
            weights.append(torch.as_tensor(data[f"W{i}"][k].T.copy()).to(dtype))
            if f"b{i}" in data:
                weights.append(torch.as_tensor(data[f"b{i}"][k]).to(dtype))
        stops.append((float(step), weights))
    return stops


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("given")
    parser.add_argument("found")
    parser.add_argument("--method", choices=["naive", "tracin"], required=True)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    clock = time.process_time if args.cpu else time.perf_counter
    data = np.load(args.given)
    dtype = torch.float64
    target = dtype if args.method == "naive" else torch.int64
    X, X_test = (torch.as_tensor(data[name]).to(dtype) for name in ("X", "X_test"))
    y, y_test = (torch.as_tensor(data[name]).to(target) for name in ("y", "y_test"))
    shapes = [data[f"W{i}"].shape[1:] for i in range(int(data["depth"]))]
    model = network(shapes, "b0" in data).to(dtype)
    stops = checkpoints(data, dtype)
    start = clock()
    influence = {"naive": naive, "tracin": tracin}[args.method](
        args, data, model, TensorDataset(X, y), stops
    )
    scores = influence.influence((X_test, y_test))
    seconds = clock() - start
    np.savez(
        args.found,
        scores=scores.detach().double().numpy()[data["sample"]],
        seconds=seconds,
        version=version("captum"),
        torch=torch.__version__,
    )


if __name__ == "__main__":
    main()
