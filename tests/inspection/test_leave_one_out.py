"""The risk of rows left out, from plain arrays."""

import re

import numpy as np
import pytest

from skinfluence.inspection import LeaveOneOut

LOSSES = np.array([0.5, 2.0, 0.0, 1.5])


def left_out(losses=LOSSES):
    n = len(losses)
    return LeaveOneOut(
        losses=losses,
        predictions=np.zeros(n),
        probabilities=None,
        decisions=np.zeros(n),
        parameters=None,
        row_labels=np.arange(n),
        method="exact",
    )


def test_score_is_the_mean_loss():
    score = left_out().score()
    assert score == 1.0
    assert type(score) is float


@pytest.mark.parametrize("weights", [[2.0, 1.0, 4.0, 1.0], np.array([2, 1, 4, 1])])
def test_score_is_the_weighted_mean(weights):
    score = left_out().score(sample_weight=weights)
    assert score == pytest.approx((1.0 + 2.0 + 0.0 + 1.5) / 8.0)
    assert type(score) is float


def test_rows_of_weight_zero_do_not_count():
    assert left_out().score([0.0, 1.0, 0.0, 0.0]) == 2.0


def test_scale_of_the_weights_does_not_matter():
    assert left_out().score([10.0] * 4) == pytest.approx(left_out().score())


@pytest.mark.parametrize(
    "weights, shape", [([1.0, 2.0], "(2,)"), (np.ones((4, 1)), "(4, 1)"), (1.0, "()")]
)
def test_weights_are_one_for_each_row(weights, shape):
    message = (
        f"sample_weight of shape {shape} was given; one weight per training row, shape (4,), is "
        "accepted."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        left_out().score(weights)
