"""Pipelines that suit the columns of a table, by the name of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC, LinearSVR

from skinfluence.command.columns import Columns
from skinfluence.typing import Array

DATE_PARTS = ("year", "month", "weekday", "days")

MOST_CATEGORIES = 100
"""Of one column; the rarest share a column."""

FEWEST_ROWS = 2
"""Of a category; those with fewer share a column."""

MOST_WORDS, MOST_WORDS_DENSE = 20_000, 300
"""Of a text; the second for models that take no sparse rows, or are slow with so many columns."""

DENSE = ("boosting", "forest", "mlp")

_NETWORK = {
    "hidden_layer_sizes": (10,),
    "activation": "tanh",  # smooth, so that the fit comes to a minimum
    "solver": "lbfgs",
    "alpha": 1.0,
    "max_iter": 5000,
    "max_fun": 50_000,
    "tol": 1e-6,
}

DAMPING = {"mlp": 0.1}
"""Of the curvature, for networks: units that a penalty switches off leave it without an inverse."""

_CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: LogisticRegression(tol=1e-6, max_iter=5000),
    "svm": lambda: LinearSVC(dual=False, tol=1e-6),
    "forest": lambda: RandomForestClassifier(min_samples_leaf=2, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "mlp": lambda: MLPClassifier(**_NETWORK, random_state=0),
}
_REGRESSORS: dict[str, Callable[[], Any]] = {
    "ridge": Ridge,
    "poisson": lambda: PoissonRegressor(alpha=1e-3, tol=1e-6, max_iter=5000),
    "svm": lambda: LinearSVR(loss="squared_epsilon_insensitive", dual=False, tol=1e-6),
    "forest": lambda: RandomForestRegressor(min_samples_leaf=2, random_state=0),
    "boosting": lambda: HistGradientBoostingRegressor(random_state=0),
    "mlp": lambda: MLPRegressor(**_NETWORK, random_state=0),
}
_OF_SCALED_TARGETS = ("svm", "mlp")

MODELS = ("auto", *dict.fromkeys([*_CLASSIFIERS, *_REGRESSORS]))
"""Names of models: what ``--model`` takes."""


def pipeline(columns: Columns, model: str, *, classifies: bool) -> Any:
    """Return an unfitted estimator for rows with these columns.

    Numbers get the median where they are missing, and are scaled; categories are one-hot, those of
    one row together; texts are tf-idf; dates are year, month, weekday and days.

    Parameters
    ----------
    columns : Columns
    model : str
        One of ``MODELS``.
    classifies : bool
        Whether there are classes to predict, rather than numbers.

    Returns
    -------
    Pipeline, or a TransformedTargetRegressor of one
        The latter where the scale of the targets matters to the fit.
    """
    name = model_name(model, classifies=classifies)
    final = (_CLASSIFIERS if classifies else _REGRESSORS)[name]()
    steps = Pipeline([("columns", features(columns, dense=name in DENSE)), ("model", final)])
    if classifies or name not in _OF_SCALED_TARGETS:
        return steps
    return TransformedTargetRegressor(steps, transformer=StandardScaler())


def model_name(model: str, *, classifies: bool) -> str:
    """Return which model "auto" is; any other as it is."""
    if model != "auto":
        return model
    return "logistic" if classifies else "ridge"


def features(columns: Columns, *, dense: bool) -> ColumnTransformer:
    """Return the transformer of the columns of a table into features.

    Parameters
    ----------
    columns : Columns
    dense : bool
        Whether no sparse rows may come of it.
    """
    numbers, flags = columns.of_kind("number"), columns.of_kind("yes or no")
    categories, dates = columns.of_kind("category"), columns.of_kind("date")
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    common = make_pipeline(SimpleImputer(strategy="most_frequent"), StandardScaler())
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=FEWEST_ROWS,
        max_categories=MOST_CATEGORIES,
        sparse_output=not dense,
    )
    named = make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"), one_hot)
    parts = FunctionTransformer(date_parts, feature_names_out=_names_of_parts)
    days = make_pipeline(parts, SimpleImputer(strategy="median"), StandardScaler())
    words = MOST_WORDS_DENSE if dense else MOST_WORDS
    parted = [
        ("numbers", scaled, numbers),
        ("yes or no", common, flags),
        ("categories", named, categories),
        ("dates", days, dates),
        *(
            (f"text {k}", TfidfVectorizer(max_features=words, sublinear_tf=True), name)
            for k, name in enumerate(columns.of_kind("text"))
        ),
    ]
    return ColumnTransformer(
        [each for each in parted if len(each[2])],
        sparse_threshold=0.0 if dense else 0.3,
        verbose_feature_names_out=False,
    )


def date_parts(dates: Any) -> Array:
    """Return year, month, weekday (Monday is 0) and days since 1970 of each date.

    Parameters
    ----------
    dates : pandas.DataFrame
        Of times without a zone.

    Returns
    -------
    ndarray of shape (n_rows, 4 * n_columns)
        Missing where the date is.
    """
    parts = []
    for _, column in dates.items():
        at = column.dt
        days = (column - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
        parts += [at.year, at.month, at.day_of_week, days]
    return np.column_stack([each.to_numpy(dtype=np.float64, na_value=np.nan) for each in parts])


def _names_of_parts(transformer: Any, names: Any) -> Array:
    return np.array([f"{name} {part}" for name in names for part in DATE_PARTS], dtype=object)
