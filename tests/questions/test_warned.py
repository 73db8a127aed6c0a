"""Results keep what their question warned of."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import Influence
from skinfluence.process.warnings import hearing, warn
from tests.cases import REAL, THREE


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_result_repeats_the_warnings_of_its_question(n_jobs):
    network = MLPClassifier((3,), alpha=0.01, max_iter=20, random_state=0)
    with pytest.warns(ConvergenceWarning):
        model = InfluenceClassifier(network, n_jobs=n_jobs).fit(THREE.X, THREE.y)
    with pytest.warns(ConvergenceWarning) as caught:
        result = model.influence(THREE.X[:2], THREE.y[:2])
    assert list(result.warned) == list(dict.fromkeys(str(each.message) for each in caught))
    assert "Warning: MLPClassifier stopped before" in repr(result)
    assert "Warning: MLPClassifier stopped before" in result._repr_html_()
    assert Influence.from_json(result.to_json()).warned == result.warned


def test_rows_of_a_class_of_their_own_are_named_in_the_result():
    model = InfluenceClassifier(LogisticRegression())
    model.fit(THREE.X, np.array(["alone", *THREE.y[1:]], dtype=object))
    with pytest.warns(UserWarning, match="only ones of their class"):
        result = model.self_influence()
    assert any("only ones of their class" in text for text in result.warned)


def test_nothing_is_said_where_nothing_was_warned_of():
    result = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y).self_influence()
    assert result.warned == ()
    assert "Warning" not in repr(result)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_who_listens_already_hears_what_is_asked_on_the_way():
    with hearing() as heard:
        warn("before", UserWarning)
        with hearing() as part:
            warn("meanwhile", UserWarning)
            warn("before", UserWarning)
        with hearing(alone=True) as alone:
            warn("aside", UserWarning)
    assert part == ["meanwhile", "before"]
    assert alone == ["aside"]
    assert heard == ["before", "meanwhile"]
