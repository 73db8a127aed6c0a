"""What an audit says in words and tables, from plain arrays."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from skinfluence.inspection import GivenRows, ValidationAudit

N_VAL, N_TRAIN = 40, 6
NOISE = np.tile([-0.1, 0.1], N_VAL // 2)


def audit(changes=(-0.02, -0.3), refitted=None, **params):
    """Return an audit with these changes, each with errors of .016 (1.5 / sqrt(39) * .1 / 1.01)."""
    effects = np.array(changes)[:, None] + NOISE
    given = {
        "k": np.array([1, 3]),
        "action": "drop",
        "effects": effects,
        "in_sample": np.array([-0.1, -0.4]),
        "refitted": None if refitted is None else np.array(refitted)[:, None] + NOISE,
        "folds": np.arange(N_VAL) % 4,
        "scores": np.array([0.1, -0.5, 0.0, -0.2, -0.5, 0.3]),
        "score_errors": np.array([0.1, 0.1, 0.0, 0.1, 0.05, 0.1]),
        "row_labels": np.array(["a", "b", "c", "d", "e", "f"]),
        "targets": np.array(["no", "yes", "no", "yes", "no", "no"]),
        "new_targets": None,
        "method": "newton",
        "loss": "log loss",
    }
    return ValidationAudit(**{**given, **params})


def test_the_answer_comes_first():
    answer = audit()
    assert answer.advice == 3
    assert repr(answer).splitlines()[0] == (
        "Dropping these 3 rows changes the mean log loss by -0.300 +- 0.024 on rows that did not "
        "choose them (in-sample, which flatters: -0.4)"
    )
    error = np.sqrt(0.01 * 40 / 39 / 40 * (1 + 4 / 3))
    np.testing.assert_allclose(answer.standard_error, [error, error])
    assert repr(answer).splitlines()[3].endswith("<- advised")
    one = audit((-0.3, 0.1))
    assert one.advice == 1
    assert repr(one).startswith("Dropping this row changes the mean log loss by -0.300 +- 0.024")
    relabelled = audit(action="relabel", new_targets=np.array(["yes"] * 6))
    assert repr(relabelled).startswith("Relabelling these 3 rows changes the mean log loss by")


def test_nothing_when_that_is_the_answer():
    answer = audit((-0.04, 0.3))  # 1.7 errors below 0, of which two numbers ask for 1.96
    assert answer.advice == 0 and answer.rows().tolist() == []
    assert repr(answer).splitlines()[0] == (
        "Nothing: no rows are shown to do better dropped. At best, k = 1 changes the mean log loss "
        "by -0.040 +- 0.024 on rows that did not choose them (in-sample, which flatters: -0.1)"
    )
    assert not answer.to_frame()["advised"].any()
    assert "Advised is what is 2.0 standard errors below 0 at least." in repr(answer)


def test_refits_decide_where_there_are_any():
    answer = audit((-0.3, -0.3), refitted=(0.1, -0.2))
    assert answer.advice == 3
    assert "changes the mean log loss by -0.200 +- 0.024 (refitted)" in repr(answer)
    assert list(answer.to_frame()) == [
        "k", "change", "standard_error", "in_sample", "verified", "verified_error", "advised",
    ]  # fmt: skip
    np.testing.assert_allclose(answer.verified, [0.1, -0.2])
    assert audit((-0.3, -0.3), refitted=(0.1, 0.1)).advice == 0


def test_rows_are_the_worst_first():
    answer = audit()
    assert answer.rows().tolist() == [1, 4, 3]
    assert answer.rows(1).tolist() == [1]
    assert answer.harmful.tolist() == [4, 1, 3]  # the surest first
    assert (
        "Significantly harmful by themselves, of 6 rows: 3 (e, b, d; false discovery rate 0.1)."
        in repr(answer)
    )
    none = audit(score_errors=np.ones(6))
    assert none.harmful.tolist() == [] and "of 6 rows: none." in repr(none)
    for k in (-1, 2.5, True, "a"):
        with pytest.raises(ValueError, match=f"k={k!r} was given; a number of rows"):
            answer.rows(k)
    with pytest.raises(ValueError, match="k=7 was given; a number of rows from 0 to 6"):
        answer.rows(7)


def test_table_of_rows():
    frame = audit(new_targets=np.array(["maybe"] * 6), action="relabel").rows_frame(2)
    expected = pd.DataFrame(
        {
            "row": ["b", "e"],
            "position": [1, 4],
            "score": [-0.5, -0.5],
            "standard_error": [0.1, 0.05],
            "significant": [True, True],
            "given": ["yes", "no"],
            "new": ["maybe", "maybe"],
        }
    )
    pd.testing.assert_frame_equal(frame.drop(columns="p_value"), expected)
    assert (frame["p_value"] < 1e-4).all()
    several = audit(targets=np.arange(12).reshape(6, 2)).rows_frame()
    assert several["given"].tolist()[:2] == [(2, 3), (8, 9)] and len(several) == 6
    with pytest.raises(ValueError, match="no rows to show"):
        audit().rows_frame(columns=True)
    own = audit(given=GivenRows(np.arange(12).reshape(6, 2))).rows_frame(1, columns="x1")
    assert own["x1"].tolist() == [3]


def test_a_long_curve_is_cut_in_print():
    answer = audit(
        np.zeros(30), k=np.arange(1, 31), in_sample=np.zeros(30), row_labels=np.arange(6)
    )
    assert "Shown are 12 of 30 numbers: to_frame() has all." in repr(answer)
    assert len(answer.to_frame()) == 30
    ticks = answer.plot().ax_.get_xticklabels()
    assert len(ticks) <= 8 and ticks[-1].get_text() == "30"
    plt.close("all")


def test_array_is_the_curve():
    np.testing.assert_allclose(np.asarray(audit()), [-0.02, -0.3])
    assert audit()._repr_html_().count("<table>") == 1
