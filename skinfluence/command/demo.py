"""A demonstration: a report and an audit of data that come with scikit-learn."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
from sklearn.datasets import load_breast_cancer

from skinfluence.command.columns import columns_of
from skinfluence.command.examples import Examples
from skinfluence.command.targets import Target

N_SWAPPED = 12


def demo(asked: Namespace) -> bool:
    """Answer ``skinfluence demo``."""
    raise NotImplementedError
