"""Changes of parameters by one step, of statsmodels; speed.py runs this where it is installed.

`d_params` and `dfbeta` are parameters of all rows minus those without the row: the opposite sign
of ours.
"""

from __future__ import annotations

import argparse
import time
import warnings
from importlib.metadata import version

import numpy as np
import statsmodels.api as sm


def refits(X, y):
    """Return the changes under least squares: a loop of refits, there."""
    fitted = sm.OLS(y, X).fit()
    return lambda: fitted.get_influence().dfbeta


def gaussian(X, y):
    fitted = sm.GLM(y, X).fit()
    return lambda: fitted.get_influence().d_params


def logistic(X, y):
    fitted = sm.GLM(y, X, sm.families.Binomial()).fit(tol=1e-12)
    return lambda: fitted.get_influence().d_params


MODELS = {"refits": refits, "gaussian": gaussian, "logistic": logistic}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("given")
    parser.add_argument("found")
    parser.add_argument("--model", choices=list(MODELS), required=True)
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    clock = time.process_time if args.cpu else time.perf_counter
    data = np.load(args.given)
    X = sm.add_constant(data["X"], prepend=False)
    y = data["y"].astype(float)
    ask = MODELS[args.model](X, y)
    start = clock()
    changes = ask()
    seconds = clock() - start
    np.savez(
        args.found,
        changes=-np.asarray(changes)[data["sample"]],
        seconds=seconds,
        version=version("statsmodels"),
    )


if __name__ == "__main__":
    main()
