"""What is made of columns, and that every model of the command is one of the package's."""

import datetime as dt

import numpy as np
import pytest

pytest.importorskip("narwhals", reason="the command needs narwhals")
pd = pytest.importorskip("pandas")

from skinfluence.command.columns import columns_of, prepared  # noqa: E402
from skinfluence.command.pipelines import (  # noqa: E402
    DAMPING,
    DATE_PARTS,
    MODELS,
    features,
    pipeline,
)
from skinfluence.estimators import InfluenceClassifier, InfluenceRegressor  # noqa: E402

N = 60


def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(5, 3, N),
            "flag": rng.random(N) < 0.5,
            "kind": rng.choice(["u", "v", "w"], N),
            "when": [
                dt.datetime(2024, 1, 31) + dt.timedelta(int(k)) for k in rng.integers(0, 99, N)
            ],
            "words": [f"it was the {a} of {b} times" for a, b in rng.integers(0, 40, (N, 2))],
        }
    )
    frame.loc[:4, "x"] = np.nan
    frame.loc[3:5, "kind"] = None
    columns = columns_of(frame, "y")
    return columns, prepared(frame, columns, range(2, N + 2)), frame


def test_features_of_every_kind():
    columns, X, frame = table()
    transformer = features(columns, dense=True)
    names_and_values = transformer.fit_transform(X)
    got = pd.DataFrame(names_and_values, columns=transformer.get_feature_names_out())
    known = frame["x"].fillna(frame["x"].median())
    np.testing.assert_allclose(got["x"], (known - known.mean()) / known.std(ddof=0))
    truths = frame["flag"].astype(float)
    np.testing.assert_allclose(got["flag"], (truths - truths.mean()) / truths.std(ddof=0))
    for each in ("u", "v", "w", "missing"):
        expected = frame["kind"].fillna("missing") == each
        np.testing.assert_array_equal(got[f"kind_{each}"], expected)
    parts = {
        "year": [each.year for each in frame["when"]],
        "month": [each.month for each in frame["when"]],
        "weekday": [each.weekday() for each in frame["when"]],
        "days": [(each - pd.Timestamp(1970, 1, 1)).days for each in frame["when"]],
    }
    assert tuple(parts) == DATE_PARTS
    for part, values in parts.items():
        centred = np.asarray(values, dtype=float) - np.mean(values)
        scale = centred.std() or 1.0
        np.testing.assert_allclose(got[f"when {part}"], centred / scale, atol=1e-9)
    assert {"times", "the"} <= set(got.columns)


def test_what_was_never_seen():
    columns, X, _ = table()
    transformer = features(columns, dense=True).fit(X)
    odd = X.iloc[:1].assign(kind="new", words="", when=pd.NaT, x=np.nan, flag=np.nan)
    assert np.isfinite(transformer.transform(odd)).all()


def test_names_of_texts_are_whatever_they_are():
    texts = [f"some words of number {k}" for k in range(N)]
    frame = pd.DataFrame({"my__text": texts, "another__": texts[::-1]})
    columns = columns_of(frame, "y")
    assert columns.of_kind("text") == ["my__text", "another__"]
    fitted = features(columns, dense=True).fit_transform(prepared(frame, columns, range(N)))
    assert len(fitted) == N


def test_rare_categories_share_a_column():
    frame = pd.DataFrame({"kind": ["a"] * 5 + ["b"] * 5 + ["one", "two"], "y": [0, 1] * 6})
    columns = columns_of(frame, "y")
    transformer = features(columns, dense=True).fit(prepared(frame, columns, range(12)))
    names = transformer.get_feature_names_out().tolist()
    assert names == ["kind_a", "kind_b", "kind_infrequent_sklearn"]


BOTH = [(model, classifies) for model in MODELS for classifies in (True, False)]
KNOWN = [
    (model, classifies)
    for model, classifies in BOTH
    if (model, classifies) not in [("logistic", False), ("ridge", True), ("poisson", True)]
]


@pytest.mark.parametrize(("model", "classifies"), KNOWN)
def test_every_model_answers(model, classifies):
    columns, X, frame = table()
    y = (frame["x"].fillna(5) > 5).to_numpy() if classifies else frame["x"].fillna(5).abs()
    wrapper = InfluenceClassifier if classifies else InfluenceRegressor
    estimator = pipeline(columns, model, classifies=classifies)
    asked = wrapper(estimator, damping=DAMPING.get(model, 0.0)).fit(
        X, np.asarray(y).astype(float if not classifies else int)
    )
    scores = asked.influence_scores(X[:3], np.asarray(y)[:3].astype(float))
    assert scores.shape == (3, N) and np.isfinite(scores).all()
