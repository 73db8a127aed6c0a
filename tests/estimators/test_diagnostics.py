"""Case diagnostics against published values, statsmodels, and what they must not depend on.

Against dense algebra and refits of every model: `test_models`; by hand: `tests/removal`.
"""

import warnings
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.compose import TransformedTargetRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVC, LinearSVR
from statsmodels.stats.outliers_influence import MLEInfluence, OLSInfluence

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.losses import Huber
from skinfluence.process.tuning import Tuning
from tests.cases import BINARY, REAL, REALS, THREE

WITHOUT_UNIT = [
    "hat_diagonal",
    "internally_studentized_residuals",
    "studentized_residuals",
    "dffits",
    "cooks_distance",
    "cov_ratio",
    "dfbetas",
]


def close(mine, expected, rtol=1e-8):
    mine, expected = np.asarray(mine), np.asarray(expected)
    assert mine.shape == expected.shape
    np.testing.assert_allclose(mine, expected, rtol=rtol, atol=rtol * np.nanmax(np.abs(expected)))


def unguarded(tune):
    """Take every Newton step as it is."""
    bounds = [field.name for field in fields(Tuning) if field.name.startswith("trusted_")]
    tune(**dict.fromkeys(bounds, np.inf))


def constant_last(values):
    """Return parameters of statsmodels, whose constant comes first, as ours."""
    return np.roll(np.asarray(values), -1, axis=-1)


# ------------------------------------------------------------------------------ published values


def test_least_squares_of_r():
    """Investment on output and interest, rows of R's influence.measures, rstudent, rstandard.

    As statsmodels has them in stats/tests/results (influence_measures_R.csv, influence_lsdiag_R).
    """
    data = sm.datasets.macrodata.load_pandas().data
    growth = 400.0 * np.diff(np.log(data[["realinv", "realgdp"]].to_numpy()), axis=0)
    X = np.column_stack([growth[:, 1], data["realint"].to_numpy()[:-1]])
    found = InfluenceRegressor(LinearRegression()).fit(X, growth[:, 0]).diagnostics()
    close(np.sqrt(found.scale), [10.7037959322668])
    # dfb.1_, dfb.ggdp, dfb.lint, dffit, cov.r, cook.d, hat, rstudent, rstandard
    published = {
        0: (0.00441265074628, -0.02762200806724, 0.00820003383763, -0.03176912977979,
            1.04133845994251, 0.00033805950515, 0.02564011182042, -0.19584165015593,
            -0.19631656390934),
        3: (-0.06180249332012, 0.1540291368862, 0.09188460635685, 0.20604428347786,
            1.0109994145081, 0.01409389764966, 0.0228915240076, 1.34615356839809,
            1.34341508583876),
        63: (-0.93443978818826, 0.77629902618754, 0.56179754373666, -1.03674232029856,
             0.75607500537204, 0.32160264999737, 0.04339471270552, -4.86764398407849,
             -4.61177824645797),
        199: (-0.27412328503003, 0.55225125165004, -0.56603734403105, -0.79966399731945,
              1.00482525547578, 0.20715915792625, 0.08643306684255, -2.59978700077173,
              -2.56296644438216),
    }  # fmt: skip
    for i, row in published.items():
        close(found.dfbetas[i], -constant_last(row[:3]), 1e-9)
        measures = (
            -found.dffits,
            found.cov_ratio,
            found.cooks_distance,
            found.hat_diagonal,
            found.studentized_residuals,
            found.internally_studentized_residuals,
        )
        close([measure[i] for measure in measures], row[3:], 1e-9)


def test_longley_by_cook():
    """Cook (1977), section 4: 1951 and 1962 stand out, at .61 and .47."""
    data = sm.datasets.longley.load_pandas()
    model = InfluenceRegressor(LinearRegression()).fit(data.exog, data.endog)
    cook = pd.Series(model.diagnostics().cooks_distance, data.exog["YEAR"].astype(int))
    assert cook.nlargest(2).round(2).to_dict() == {1951: 0.61, 1962: 0.47}


VOLUME = [
    3.7, 3.5, 1.25, 0.75, 0.8, 0.7, 0.6, 1.1, 0.9, 0.9, 0.8, 0.55, 0.6, 1.4, 0.75, 2.3, 3.2, 0.85,
    1.7, 1.8, 0.4, 0.95, 1.35, 1.5, 1.6, 0.6, 1.8, 0.95, 1.9, 1.6, 2.7, 2.35, 1.1, 1.1, 1.2, 0.8,
    0.95, 0.75, 1.3,
]  # fmt: skip
RATE = [
    0.825, 1.09, 2.5, 1.5, 3.2, 3.5, 0.75, 1.7, 0.75, 0.45, 0.57, 2.75, 3.0, 2.33, 3.75, 1.64, 1.6,
    1.415, 1.06, 1.8, 2.0, 1.36, 1.35, 1.36, 1.78, 1.5, 1.5, 1.9, 0.95, 0.4, 0.75, 0.03, 1.83, 2.2,
    2.0, 3.33, 1.9, 1.9, 1.625,
]  # fmt: skip
CONSTRICTED = [
    1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0,
    0, 1, 1, 1, 0, 0, 1,
]  # fmt: skip


def vaso_constriction():
    """Return Finney's data, on which Pregibon (1981) shows his diagnostics."""
    X = np.log(np.column_stack([RATE, VOLUME]))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    return InfluenceClassifier(model).fit(X, CONSTRICTED)


# Of PROC LOGISTIC: Pearson residual, hat, DFBETA of intercept, log rate, log volume, C.
SAS = {
    0: (0.2205, 0.0927, -0.0165, 0.0193, 0.0556, 0.00548),
    3: (3.5181, 0.0867, 1.0734, -0.9302, -1.018, 1.2873),
    17: (2.9062, 0.0954, 0.9595, -0.8279, -0.8477, 0.9845),
    18: (-1.0718, 0.1315, -0.2591, 0.2024, -0.00488, 0.2003),
    30: (0.6198, 0.2459, 0.1165, -0.0996, 0.1322, 0.1661),
    38: (0.7053, 0.0531, 0.0326, 0.019, 0.0489, 0.0295),
}


def test_vaso_constriction_by_sas(tune):
    """C is the one-step distance, not divided by the three parameters."""
    unguarded(tune)
    found = vaso_constriction().diagnostics()
    assert not len(found.guarded_rows)
    for i, (pearson, hat, *dfbetas, C) in SAS.items():
        residual = found.internally_studentized_residuals[i] * np.sqrt(1.0 - hat)
        np.testing.assert_allclose(residual, pearson, rtol=1e-3)
        np.testing.assert_allclose(found.hat_diagonal[i], hat, rtol=1e-3)
        np.testing.assert_allclose(found.dfbetas[i], -constant_last(dfbetas), atol=6e-4)
        np.testing.assert_allclose(3.0 * found.cooks_distance[i], C, rtol=2e-3)


def test_guarded_rows_are_named_and_have_the_distance_of_the_minimum():
    """Rows 3 and 17 of Finney's data, which no one step carries."""
    model = vaso_constriction()
    found, exact = model.diagnostics(), model.diagnostics(method="exact")
    assert {3, 17} <= set(found.guarded_rows)
    guarded = found.guarded_rows
    np.testing.assert_allclose(
        found.cooks_distance[guarded], exact.cooks_distance[guarded], rtol=1e-2
    )
    assert found.cooks_distance[3] > 2.5 * SAS[3][-1] / 3.0
    one_step = np.setdiff1d(np.fromiter(SAS, int), guarded)
    C = [SAS[i][-1] for i in one_step]
    np.testing.assert_allclose(3.0 * found.cooks_distance[one_step], C, rtol=2e-3)
    table = found.to_frame()
    assert set(table["position"][table["guarded"]]) == set(guarded)


# ------------------------------------------------------------------------------------ statsmodels


def stackloss():
    data = sm.datasets.stackloss.load_pandas()
    return data.exog.to_numpy(), data.endog.to_numpy()


def longley():
    """Return Longley's, standardised: their condition number is no question of diagnostics."""
    data = sm.datasets.longley.load_pandas()
    return StandardScaler().fit_transform(data.exog), data.endog.to_numpy()


def simulated():
    return REAL.X, REAL.y


@pytest.mark.parametrize("data", [stackloss, longley, simulated])
def test_least_squares_of_statsmodels(data):
    X, y = data()
    found = InfluenceRegressor(LinearRegression()).fit(X, y).diagnostics()
    fit = sm.OLS(y, sm.add_constant(X)).fit()
    theirs = OLSInfluence(fit)
    close(found.scale, [fit.scale])
    close(found.standard_errors, constant_last(fit.bse))
    close(found.hat_diagonal, theirs.hat_matrix_diag)
    close(found.internally_studentized_residuals, theirs.resid_studentized_internal)
    close(found.studentized_residuals, theirs.resid_studentized_external)
    close(found.cooks_distance, theirs.cooks_distance[0])
    close(found.cov_ratio, theirs.cov_ratio)
    close(found.dffits, -theirs.dffits[0])
    close(found.dfbetas, -constant_last(theirs.dfbetas))


FAMILIES = sm.families
LOG = FAMILIES.links.Log()


def tweedie(power, **params):
    return TweedieRegressor(
        power=power, alpha=0.0, solver="newton-cholesky", tol=1e-12, max_iter=1000, **params
    )


def poisson():
    return PoissonRegressor(alpha=0.0, solver="newton-cholesky", tol=1e-12, max_iter=1000)


def gamma():
    return GammaRegressor(alpha=0.0, solver="newton-cholesky", tol=1e-12, max_iter=1000)


def logistic():
    return LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000)


OF_FAMILY = {
    "gaussian": (tweedie(0, link="identity"), FAMILIES.Gaussian()),
    "gaussian-log": (tweedie(0, link="log"), FAMILIES.Gaussian(LOG)),
    "binomial": (logistic(), FAMILIES.Binomial()),
    "poisson": (poisson(), FAMILIES.Poisson()),
    "gamma": (gamma(), FAMILIES.Gamma(LOG)),
    "tweedie": (tweedie(1.5), FAMILIES.Tweedie(LOG, var_power=1.5)),
    "inverse-gaussian": (tweedie(3), FAMILIES.InverseGaussian(LOG)),
}
CANONICAL = {"gaussian", "binomial", "poisson"}
REAL_DATA = {"gamma": "scotland", "poisson": "cpunish", "binomial": "spector"}


def rows_of(family, seed):
    """Return X and y of a family: real ones for no seed, else drawn from it."""
    if seed is None:
        data = getattr(sm.datasets, REAL_DATA[family]).load_pandas()
        return StandardScaler().fit_transform(data.exog), data.endog.to_numpy()
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(90, 3))
    eta = 0.8 + X @ [0.4, -0.3, 0.2]
    mu = np.exp(eta)
    y = {
        "gaussian": eta + rng.normal(size=90),
        "gaussian-log": mu + 0.7 * rng.normal(size=90),
        "binomial": 1.0 * (rng.random(90) < 1.0 / (1.0 + np.exp(-eta))),
        "poisson": 1.0 * rng.poisson(mu),
        "gamma": rng.gamma(2.0, mu / 2.0),
        "tweedie": np.array([rng.gamma(2.0, m, rng.poisson(2.0)).sum() for m in mu]),
        "inverse-gaussian": rng.wald(mu, 5.0),
    }  # fmt: skip
    return X, y[family]


SEEDED = [(family, seed) for family in OF_FAMILY for seed in (0, 1)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dispersion", ["family", "pearson"])
@pytest.mark.parametrize("family, seed", SEEDED + [(family, None) for family in REAL_DATA])
def test_generalised_linear_models_of_statsmodels(family, seed, dispersion, weighted, tune):
    """Leverages by the observed information; weights are its var_weights."""
    unguarded(tune)
    (model, theirs), (X, y) = OF_FAMILY[family], rows_of(family, seed)
    s = np.random.default_rng(5).uniform(0.5, 2.0, len(X)) if weighted else None
    kind = InfluenceClassifier if family == "binomial" else InfluenceRegressor
    found = kind(model).fit(X, y, s).diagnostics(dispersion=dispersion)
    X1 = sm.add_constant(X)
    fit = sm.GLM(y, X1, family=theirs, var_weights=s).fit(
        tol=1e-14, maxiter=300, scale="X2" if dispersion == "pearson" else None
    )
    close(found.scale, [fit.scale], 1e-7)
    covariance = np.linalg.inv(-fit.model.hessian(fit.params, scale=fit.scale))
    # As get_influence(observed=True) has them, which takes the root of weights that may be negative
    hat = fit.model.hessian_factor(fit.params, scale=fit.scale) * np.sum(X1 @ covariance * X1, 1)
    close(found.hat_diagonal, hat, 1e-6)
    close(
        found.internally_studentized_residuals,
        fit.resid_pearson / np.sqrt(fit.scale * (1.0 - hat)),
        1e-6,
    )
    bse = np.sqrt(np.diag(covariance))
    close(found.standard_errors, constant_last(bse), 1e-6)
    rest = np.setdiff1d(np.arange(len(X)), found.guarded_rows)
    assert len(rest) >= 10
    # One Newton step by the score: the general class, with that leverage and that covariance.
    step = MLEInfluence(fit, hat_matrix_diag=hat, cov_params=covariance)
    ratio = found.internally_studentized_residuals / found.studentized_residuals  # of the scales
    close(found.cooks_distance[rest], step.cooks_distance[0][rest], 1e-6)
    dfbetas = -constant_last(step.d_params / bse) / ratio[:, None]
    close(found.dfbetas[rest], dfbetas[rest], 1e-6)
    spread = ratio * np.sqrt(np.einsum("ip,pq,iq->i", X1, covariance, X1))
    close(found.dffits[rest], -np.sum(X1 * step.d_params, axis=1)[rest] / spread[rest], 1e-6)
    if family in CANONICAL:
        influence = fit.get_influence(observed=True)
        close(found.hat_diagonal, influence.hat_matrix_diag, 1e-6)
        close(found.internally_studentized_residuals, influence.resid_studentized, 1e-6)
        close(found.standard_errors, constant_last(fit.bse), 1e-6)
        close(found.cooks_distance[rest], influence.cooks_distance[0][rest], 1e-6)
    if dispersion == "family" and family in ("binomial", "poisson"):
        assert found.scale == 1.0
        np.testing.assert_array_equal(ratio, 1.0)
        close(found.cov_ratio, 1.0 / (1.0 - hat), 1e-6)


def test_observed_information_is_nearer_to_refits_than_the_expected():
    """Where the link is not canonical statsmodels' distance is of a step of neither kind."""
    X, y = rows_of("gamma", 0)
    model = InfluenceRegressor(gamma()).fit(X, y)
    exact = model.diagnostics(method="exact").cooks_distance
    fit = sm.GLM(y, sm.add_constant(X), family=FAMILIES.Gamma(LOG)).fit(tol=1e-14)

    def error(distance):
        return np.linalg.norm(distance - exact) / np.linalg.norm(exact)

    ours = error(model.diagnostics().cooks_distance)
    assert ours < 0.1
    for observed in (True, False):
        assert error(fit.get_influence(observed=observed).cooks_distance[0]) > 2.0 * ours


# --------------------------------------------------------------------------------- Huber's losses


def outlying():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(80, 2))
    y = X @ [1.0, -2.0] + rng.normal(size=80)
    y[11] += 25.0
    y[47] -= 12.0
    return X, y


@pytest.mark.parametrize(
    "model",
    [
        HuberRegressor(alpha=0.0, tol=1e-10, max_iter=10000),
        HuberRegressor(alpha=0.0, tol=1e-10, max_iter=10000, fit_intercept=False),
        SGDRegressor("huber", epsilon=1.0, tol=None, max_iter=3000, random_state=0),
    ],
    ids=["HuberRegressor", "no-intercept", "SGDRegressor"],
)
def test_outliers_of_huber_are_seen_as_far_as_they_are(model):
    X, y = outlying()
    wrapper = InfluenceRegressor(model).fit(X, y)
    found = wrapper.diagnostics()
    assert np.abs(found.studentized_residuals).argsort()[-2:].tolist() == [47, 11]
    assert found.studentized_residuals[11] > 15.0
    assert found.studentized_residuals[47] < -7.0
    # neither has a curvature, hence neither a leverage nor a gain of volume
    np.testing.assert_array_equal(found.hat_diagonal[[11, 47]], 0.0)


def test_the_scale_of_huber_regressor_is_its_own():
    """Raw residuals over sigma, as in MASS::rlm, with sigma^2 = sum of clipped squares / (n - p).

    scikit-learn's sigma is the root of the mean clipped square.
    """
    X, y = outlying()
    model = HuberRegressor(alpha=0.0, tol=1e-12, max_iter=100000)
    found = InfluenceRegressor(model).fit(X, y).diagnostics()
    model = model.fit(X, y)
    r, sigma = y - model.predict(X), model.scale_
    clipped = np.clip(r, -1.35 * sigma, 1.35 * sigma)
    assert np.mean(clipped**2) == pytest.approx(sigma**2, rel=1e-3)
    spread = np.sqrt(np.sum(clipped**2) / (80 - found.hat_diagonal.sum()))
    close(
        found.internally_studentized_residuals,
        r / (spread * np.sqrt(1.0 - found.hat_diagonal)),
        1e-3,
    )
    assert found.hat_diagonal.sum() == pytest.approx(3.0, rel=1e-6)


def test_standard_errors_of_huber_are_those_of_m_estimation():
    """Huber (1981), section 7.6: sigma^2 sum psi^2 / (n - p) / (mean psi')^2 (X'X)^-1."""
    rng = np.random.default_rng(0)
    n = 4000
    X = rng.normal(size=(n, 2))
    y = 1.0 + X @ [1.0, -2.0] + rng.standard_t(3, size=n)
    model = HuberRegressor(alpha=0.0, tol=1e-10, max_iter=10000)
    errors = InfluenceRegressor(model).fit(X, y).diagnostics().standard_errors[:3]
    model = model.fit(X, y)
    r, sigma = y - model.predict(X), model.scale_
    theirs = sm.RLM(y, sm.add_constant(X), M=sm.robust.norms.HuberT(1.35)).fit(
        scale_est=sm.robust.scale.HuberScale(d=1.35), tol=1e-10
    )
    X1 = np.column_stack([X, np.ones(n)])
    psi, inside = np.clip(r / sigma, -1.35, 1.35), np.abs(r / sigma) < 1.35
    variance = sigma**2 * np.sum(psi**2) / (n - 3) / np.mean(inside) ** 2
    expected = np.sqrt(variance * np.diag(np.linalg.inv(X1.T @ X1)))
    np.testing.assert_allclose(errors, expected, rtol=0.03)
    np.testing.assert_allclose(errors, constant_last(theirs.bse), rtol=0.05)


# ---------------------------------------------------------------------------------- invariances


def kernel(**params):
    return KernelRidge(alpha=0.5, kernel="rbf", gamma=0.2, **params)


UNITS = {
    "least squares": lambda c: LinearRegression(),
    "ridge": lambda c: Ridge(alpha=3.0),
    "lasso": lambda c: Lasso(alpha=0.2 * c, tol=1e-14, max_iter=100000),
    "pipeline": lambda c: make_pipeline(StandardScaler(), LinearRegression()),
    "log link": lambda c: tweedie(0, link="log"),
    "gamma": lambda c: gamma(),
    "tweedie": lambda c: tweedie(1.5),
    "inverse gaussian": lambda c: tweedie(3),
    "huber": lambda c: HuberRegressor(alpha=0.1 / c, tol=1e-10, max_iter=20000),
    "transformed": lambda c: TransformedTargetRegressor(
        LinearRegression(), func=np.log, inverse_func=np.exp
    ),
    "transformed scale": lambda c: TransformedTargetRegressor(
        Ridge(alpha=3.0), transformer=StandardScaler()
    ),
    "kernel ridge": lambda c: kernel(),
    "linear machine": lambda c: LinearSVR(
        C=1.0, epsilon=0.1 * c, loss="squared_epsilon_insensitive", dual=False, tol=1e-10
    ),
}


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("method", ["newton", "exact"])
def test_measures_without_unit_do_not_know_the_unit_of_y(name, method):
    X, y = rows_of("gamma", 4)
    one, hundred = (
        InfluenceRegressor(UNITS[name](c)).fit(X, c * y).diagnostics(method=method)
        for c in (1.0, 100.0)
    )
    for measure in WITHOUT_UNIT:
        np.testing.assert_allclose(
            getattr(hundred, measure), getattr(one, measure), 1e-4, 1e-6, err_msg=measure
        )


@pytest.mark.parametrize("c", [0.01, 100.0])
def test_smoothed_machines_do_not_know_the_unit_of_y(c):
    """Their loss is in units of y, their penalty in its square."""
    found = []
    for unit in (1.0, c):
        for kind in (LinearSVR, SVR):
            model = kind(C=0.5 * unit, epsilon=0.1 * unit, tol=1e-10, max_iter=100000)
            wrapper = InfluenceRegressor(model, temperature=0.05 * unit)
            found.append(wrapper.fit(REAL.X, unit * REAL.y).diagnostics(method="exact"))
    for one, other in zip(found[:2], found[2:], strict=True):
        for measure in ("hat_diagonal", "studentized_residuals", "cooks_distance", "dffits"):
            np.testing.assert_allclose(getattr(other, measure), getattr(one, measure), 1e-4, 1e-6)


def test_quasi_poisson_does_not_know_the_unit_of_y():
    X, y = rows_of("poisson", 0)
    one, hundred = (
        InfluenceRegressor(poisson()).fit(X, c * y).diagnostics(dispersion="pearson")
        for c in (1.0, 100.0)
    )
    for measure in WITHOUT_UNIT:
        close(getattr(hundred, measure), getattr(one, measure), 1e-6)
    assert hundred.scale == pytest.approx(100.0 * one.scale)


def test_weights_are_precisions_and_not_repetitions():
    """A row of weight 2 is one row: the degrees of freedom are those of the rows."""
    twice = np.repeat(np.arange(60), np.arange(60) % 2 + 1)
    s = np.arange(60) % 2 + 1.0
    weighted = InfluenceRegressor(LinearRegression()).fit(REAL.X, REAL.y, s).diagnostics()
    repeated = InfluenceRegressor(LinearRegression()).fit(REAL.X[twice], REAL.y[twice])
    close(weighted.scale * 55.0, repeated.diagnostics().scale * 85.0)
    fit = sm.WLS(REAL.y, sm.add_constant(REAL.X), weights=s).fit()
    close(weighted.standard_errors, constant_last(fit.bse))


@pytest.mark.parametrize("model", [LinearRegression(), gamma(), HuberRegressor(alpha=0.0)])
def test_rows_of_weight_zero_are_absent(model):
    X, y = rows_of("gamma", 2)
    s = np.where(np.arange(90) % 9 == 4, 0.0, 1.0)
    zeros = InfluenceRegressor(model).fit(X, y, s).diagnostics()
    absent = InfluenceRegressor(model).fit(X[s > 0], y[s > 0]).diagnostics()
    close(zeros.scale, absent.scale, 1e-4)
    close(zeros.standard_errors, absent.standard_errors, 1e-4)
    for measure in WITHOUT_UNIT:
        close(getattr(zeros, measure)[s > 0], getattr(absent, measure), 1e-4)
    np.testing.assert_allclose(zeros.cooks_distance[s == 0], 0.0, atol=1e-12)


# ------------------------------------------------------------------------------ where there is none


@pytest.mark.parametrize("scale", [1.0, 1e6])
@pytest.mark.parametrize("seed", range(20))
def test_a_row_alone_in_a_direction_has_no_measures(seed, scale):
    """nan, as in R and statsmodels, whatever rounding makes of 0 / 0."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([5 + rng.normal(size=(30, 3)), np.arange(30) == 3])
    y = 1000.0 * rng.normal(size=30)
    with pytest.warns(UserWarning, match="alone determine"):
        found = InfluenceRegressor(LinearRegression()).fit(scale * X, y).diagnostics()
    assert found.hat_diagonal[3] == pytest.approx(1.0)
    others = np.arange(30) != 3
    for measure in WITHOUT_UNIT[1:]:
        assert np.all(np.isnan(getattr(found, measure)[3])), measure
        assert np.all(np.isfinite(getattr(found, measure)[others])), measure
    assert found.to_frame()["position"].iloc[-1] == 3
    fit = OLSInfluence(sm.OLS(y[others], sm.add_constant(X[others, :3])).fit())
    close(found.studentized_residuals[others], fit.resid_studentized_external, 1e-6)


def test_without_degrees_of_freedom_the_dispersion_is_not_known():
    X, y = REAL.X[:5], REAL.y[:5]
    found = InfluenceRegressor(LinearRegression()).fit(X, y).diagnostics()
    assert np.isnan(found.scale)
    assert np.all(np.isnan(found.standard_errors))
    for measure in ("studentized_residuals", "dffits", "cov_ratio", "dfbetas", "cooks_distance"):
        assert np.all(np.isnan(getattr(found, measure))), measure


def test_coefficients_that_are_zero_have_no_standard_error():
    """The distance without a row counts those it brings in, by the curvature there."""
    y = REALS.y[:, :2]
    model = Lasso(alpha=0.9, tol=1e-14, max_iter=100000)
    wrapper = InfluenceRegressor(model).fit(REALS.X, y)
    full, n = model.fit(REALS.X, y), len(y)
    theta = np.column_stack([full.coef_, full.intercept_])
    assert np.sum(theta == 0) > 0 and len(set(np.sum(theta != 0, axis=1))) == 2
    found = wrapper.diagnostics(method="exact")
    zeros = np.isnan(found.standard_errors)
    np.testing.assert_array_equal(zeros, theta.ravel() == 0)
    assert np.all(np.isnan(found.dfbetas[:, zeros])) and np.all(
        np.isfinite(found.dfbetas[:, ~zeros])
    )
    X1 = np.column_stack([REALS.X, np.ones(n)])
    cook = []
    for i in range(n):
        kept = np.arange(n) != i
        less = model.fit(REALS.X[kept], y[kept])
        change = X1 @ (np.column_stack([less.coef_, less.intercept_]) - theta).T
        cook.append(np.sum(np.sum(change**2, axis=0) / found.scale) / np.sum(theta != 0))
    close(found.cooks_distance, cook, 1e-6)
    r = y - X1 @ theta.T
    close(found.scale, np.sum(r**2, axis=0) / (n - np.sum(theta != 0, axis=1)))


@pytest.mark.parametrize("method", ["newton", "exact"])
@pytest.mark.parametrize("family", ["gaussian", "gaussian-log", "poisson", "gamma", "tweedie"])
def test_a_level_of_one_row_has_no_measures_under_any_link(family, method):
    X, y = rows_of(family, 3)
    y[3] = 2.0
    X = np.column_stack([X, np.arange(90) == 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the removal says of such rows is no matter here
        found = InfluenceRegressor(OF_FAMILY[family][0]).fit(X, y).diagnostics(method=method)
    assert found.hat_diagonal[3] == pytest.approx(1.0, abs=1e-6)
    for measure in WITHOUT_UNIT[1:]:
        np.testing.assert_array_equal(
            np.isnan(getattr(found, measure)).reshape(90, -1).any(axis=1), np.arange(90) == 3
        )


# ------------------------------------------------------------------------------------- as asked


def test_an_unknown_dispersion_is_refused():
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    with pytest.raises(ValueError, match=r"dispersion='deviance' was given; accepted are 'family'"):
        model.diagnostics(dispersion="deviance")


def test_frames_and_arrays_have_the_same():
    days = pd.date_range("2024-01-01", periods=60)
    frame = pd.DataFrame(BINARY.X, index=days, columns=list("pqrs"))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    found = InfluenceClassifier(model).fit(frame, BINARY.y).diagnostics()
    expected = InfluenceClassifier(model).fit(BINARY.X, BINARY.y).diagnostics()
    for measure in WITHOUT_UNIT:
        close(getattr(found, measure), getattr(expected, measure))
    np.testing.assert_array_equal(found.row_labels, days.to_numpy())


def test_losses_without_a_family_have_an_estimated_dispersion():
    """That of a hinge is the mean squared gradient in units of the mean curvature."""
    model = LinearSVC(C=0.3, dual=False, tol=1e-12)
    found = InfluenceClassifier(model).fit(THREE.X, THREE.y).diagnostics()
    svc = model.fit(THREE.X, THREE.y)
    Y = np.where(THREE.y[:, None] == svc.classes_, 1.0, -1.0)
    slack = np.maximum(1.0 - Y * svc.decision_function(THREE.X), 0.0)
    curvature = 2.0 * np.mean(slack > 0, axis=0)
    degrees = 75 - found.hat_diagonal.sum(axis=0)
    close(found.scale, np.sum((2.0 * slack) ** 2, axis=0) / curvature / degrees, 1e-6)


def test_residuals_of_huber_are_not_clipped():
    y, eta = np.array([[0.0]]), np.array([[7.0]])
    assert Huber(1.0).residual(y, eta) == -7.0
    assert Huber(1.0).gradient(y, eta) == 1.0


def test_classes_of_a_multinomial_share_their_dispersion():
    """McCullagh & Nelder (1989): the chi square over its degrees of freedom."""
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    wrapper = InfluenceClassifier(model).fit(THREE.X, THREE.y)
    found = wrapper.diagnostics(dispersion="pearson")
    P = model.fit(THREE.X, THREE.y).predict_proba(THREE.X)
    Y = THREE.y[:, None] == model.classes_
    expected = np.sum((Y - P) ** 2 / P) / (2 * 75 - 2 * 5)
    close(found.scale, np.full(3, expected), 1e-5)
    errors = wrapper.diagnostics().standard_errors
    close(found.standard_errors, np.sqrt(expected) * errors, 1e-5)
