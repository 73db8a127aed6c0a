"""Environments of other packages: made where there are none, and asked through files of arrays."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import clocks
import numpy as np

PINS = {
    "pyinfluence": ("pyinfluence==0.5.0", "scikit-learn==1.9.1", "numpy==2.4.6", "scipy==1.17.1"),
    "statsmodels": ("statsmodels==0.15.0", "numpy==2.4.6", "scipy==1.17.1"),
    "torch": ("torch==2.13.0", "pydvl[influence]==0.10.0", "captum==0.9.0"),
}
"""What each environment is made of. Torch is slow to fetch: its index for CPUs has the smaller one
(PIP_EXTRA_INDEX_URL)."""

HERE = Path(__file__).parent


def environment(folder, name):
    """Return the python of an environment in a folder, made where there is none."""
    python = Path(folder) / name / "bin" / "python"
    if not python.exists():
        print(f"making an environment with {', '.join(PINS[name])} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(Path(folder) / name)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PINS[name]], check=True)
    return python


def asked(folder, name, script, *options, **arrays):
    """Return what a script of this folder finds in an environment, a dict of arrays.

    Parameters
    ----------
    folder : str
        Where the environments are.
    name : str
        A key of `PINS`.
    script : str
        Called with two file names, of the arrays given and of those to be written, and options. It
        writes "seconds", "version" and what was asked for.
    """
    with tempfile.TemporaryDirectory() as made:
        given, found = Path(made) / "given.npz", Path(made) / "found.npz"
        np.savez(given, **arrays)
        command = [str(environment(folder, name)), str(HERE / script), str(given), str(found)]
        command += [*map(str, options), "--cpu"] if clocks.counts_cpu() else map(str, options)
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
        if done.returncode:
            raise RuntimeError(f"{script} ended with {done.returncode}: {done.stderr[-600:]}")
        return dict(np.load(found))
