"""Predictions at positions that the fit has not seen are conditional normal laws."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.design.reach import design_reaching
from bayesmix.errors import DataError, DataWarning, NotSupportedError
from bayesmix.laws.reach import Reach, reaches


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n_g, times = 24, np.array([0, 1, 3, 4, 6])
    g, t = np.repeat(np.arange(n_g), 5), np.tile(times, n_g)
    C = np.linalg.cholesky(0.8 ** np.abs(np.subtract.outer(times, times)))
    b = (rng.normal(size=(n_g, 5)) @ C.T).ravel()
    twice = pd.DataFrame({"g": g, "t": t, "b": b, "u": t / 2, "v": g % 3}).iloc[
        np.repeat(np.arange(len(g)), 2)
    ]
    y = 1 + 0.3 * twice["t"] + twice["b"] + 0.6 * rng.normal(size=len(twice))
    return twice.assign(y=y).reset_index(drop=True)


@pytest.fixture(scope="module")
def eb(table: pd.DataFrame) -> bmx.EmpiricalBayes:
    return bmx.Model("y ~ t + (1 | g) + ar1(t | g)", table).fit_eb()


NEW = pd.DataFrame({"t": [7, 9, 2, 2, 12, 3], "g": [0, 0, 0, 1, 99, 99]})


def dense(eb: bmx.EmpiricalBayes, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Best linear unbiased prediction of the new rows and its covariance, as textbooks have it."""
    sd = eb.variance_components().set_index("effect")["sd"]
    rho = float(eb.covariance_parameters()["estimate"].iloc[0])
    rows = pd.concat([table[["t", "g"]], NEW])
    t, g = rows["t"].to_numpy(dtype=float), rows["g"].to_numpy()
    R = rho ** np.abs(t[:, None] - t)
    K = (g[:, None] == g) * (sd["Intercept"] ** 2 + sd["ar1(t)"] ** 2 * R)
    n, X = len(table), np.column_stack([np.ones(len(t)), t])
    V = np.linalg.inv(K[:n, :n] + eb.sigma**2 * np.eye(n))
    C = np.linalg.inv(X[:n].T @ V @ X[:n])
    y = table["y"].to_numpy()
    beta, weights = C @ X[:n].T @ V @ y, K[n:, :n] @ V
    left = X[n:] - weights @ X[:n]
    mean = X[n:] @ beta + weights @ (y - X[:n] @ beta)
    return mean, K[n:, n:] - weights @ K[:n, n:] + left @ C @ left.T


def test_new_times_and_new_levels_by_dense_algebra(
    eb: bmx.EmpiricalBayes, table: pd.DataFrame
) -> None:
    mean, covariance = dense(eb, table)
    found = eb.predict(NEW, kind="linear")
    np.testing.assert_allclose(found["estimate"], mean, rtol=1e-6)
    np.testing.assert_allclose(found["sd"], np.sqrt(np.diag(covariance)), rtol=1e-5)
    seen = eb.predict(NEW.iloc[:1].assign(t=6))
    pd.testing.assert_frame_equal(seen, eb.predict(pd.concat([NEW.iloc[:1].assign(t=6)])))


def test_averages_over_new_times_by_dense_algebra(
    eb: bmx.EmpiricalBayes, table: pd.DataFrame
) -> None:
    mean, covariance = dense(eb, table)
    rows = NEW.iloc[:4].assign(part=[0, 0, 1, 1])
    found = eb.predictions(by="part", data=rows, groups="conditional")
    A = np.zeros((2, len(NEW)))
    A[[0, 0, 1, 1], range(4)] = 0.5
    np.testing.assert_allclose(found["estimate"], A @ mean, rtol=1e-6)
    np.testing.assert_allclose(found["sd"], np.sqrt(np.diag(A @ covariance @ A.T)), rtol=1e-5)


def test_draws_have_the_same_joint_law(eb: bmx.EmpiricalBayes, table: pd.DataFrame) -> None:
    mean, covariance = dense(eb, table)
    draws = eb.predict_draws(NEW.iloc[:4], kind="linear", draws=4000, seed=1).to_numpy()[0]
    z = (draws.mean(axis=0) - mean[:4]) / np.sqrt(np.diag(covariance)[:4] / len(draws))
    assert np.abs(z).max() < 4
    np.testing.assert_allclose(np.cov(draws.T), covariance[:4, :4], atol=0.06)


def test_effects_are_drawn_from_their_conditional_law(eb: bmx.EmpiricalBayes) -> None:
    wider = eb.model.with_parts(design=design_reaching(eb.model.design, [NEW]))
    (reach,) = reaches(eb.model, wider).values()
    assert isinstance(reach, Reach)
    n, rng = 20_000, np.random.default_rng(1)
    sd = np.full((n, reach.old.n_effects), 1.5)
    structure = {"rho": np.full(n, 0.7)}
    b = np.broadcast_to(rng.normal(size=(reach.old.n_effects, 1, 1)), (len(sd[0]), 1, n)).copy()
    found = reach.effects(b, sd, structure, rng)
    np.testing.assert_array_equal(found[reach.places], b)
    times = np.array([float(name[7:-1]) for name in reach.new.effects[1:]])
    R = 2.25 * 0.7 ** np.abs(times[:, None] - times)
    old = reach.places[1:] - 1
    new = np.setdiff1d(np.arange(len(times)), old)
    W = R[np.ix_(new, old)] @ np.linalg.inv(R[np.ix_(old, old)])
    drawn = found[1 + new, 0]
    np.testing.assert_allclose(drawn.mean(axis=1), W @ b[1:, 0, 0], atol=0.04)
    np.testing.assert_allclose(
        np.cov(drawn), R[np.ix_(new, new)] - W @ R[np.ix_(old, new)], atol=0.06
    )
    mean = reach.effects(b[:, :, :1], sd[:1], {"rho": np.array([0.7])}, None)
    np.testing.assert_allclose(mean[1 + new, 0, 0], W @ b[1:, 0, 0], rtol=1e-10)


def test_a_place_far_away_has_the_law_of_the_field(table: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ t + exp(u + v | 1)", table).fit_eb()
    far = pd.DataFrame({"t": [1], "u": [1e6], "v": [1e6]})
    found = eb.predict(far, kind="linear").iloc[0]
    at_population = eb.predict(far, kind="linear", groups="population").iloc[0]
    assert found["estimate"] == pytest.approx(at_population["estimate"], rel=1e-6)
    field = float(eb.variance_components()["variance"].iloc[0])
    assert found["sd"] ** 2 == pytest.approx(at_population["sd"] ** 2 + field, rel=1e-4)


def test_structures_that_say_nothing_of_a_new_position_are_named(table: pd.DataFrame) -> None:
    eb = bmx.Model("y ~ t + cs(t | g)", table).fit_eb()
    with pytest.raises(NotSupportedError, match=r"cs\(t\)\[12\].*groups=\"population\""):
        eb.predict(NEW)
    assert len(eb.predict(NEW, groups="population")) == len(NEW)


def test_positions_between_whole_numbers_are_refused(eb: bmx.EmpiricalBayes) -> None:
    with pytest.raises(DataError, match=r"ar1\(t\) must be whole numbers.*row 0 is 1.5"):
        eb.predict(pd.DataFrame({"t": [1.5], "g": [0]}))


def test_other_data_and_files_keep_the_positions(
    eb: bmx.EmpiricalBayes, table: pd.DataFrame, tmp_path: Path
) -> None:
    later = eb.update(data=table[table["t"] < 6])
    assert later.model.design.mu.group("g").effects == eb.model.design.mu.group("g").effects
    free = bmx.Model("y ~ t + cs(t | g)", table).fit_eb().update(data=table[table["t"] < 6])
    assert free.model.design.mu.group("g").effects[-1] == "cs(t)[4]"
    assert [p for p in free.model.priors["parameter"] if "cs(t)[6]" in p] == []
    loaded = bmx.load(eb.save(tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(loaded.predict(NEW), eb.predict(NEW))


def test_a_model_with_positions_in_words(table: pd.DataFrame) -> None:
    assert "ar1(t) at 5 positions" in str(bmx.Model("y ~ t + ar1(t | g)", table))
    assert "exp(u, v) at 15 positions over all rows" in " ".join(
        str(bmx.Model("y ~ t + exp(u + v | 1)", table)).split()
    )


def test_anova_knows_models_that_share_a_structure(table: pd.DataFrame) -> None:
    small = bmx.Model("y ~ t + ar1(t | g)", table).fit_eb("ml")
    large = bmx.Model("y ~ t + (1 | g) + ar1(t | g)", table).fit_eb("ml")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bmx.anova(small, large)
    assert found["chisq_df"].iloc[1] == 1
    other = bmx.Model("y ~ t + (1 | g)", table).fit_eb("ml")
    with pytest.warns(DataWarning, match="does not show"):
        bmx.anova(other, small)


def test_correlations_of_many_positions_are_made_only_where_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame
) -> None:
    from bayesmix.laws import correlations

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few draws
        post = bmx.Model("y ~ t + ar1(t | g)", table).fit(
            draws=40, tune=60, chains=2, seed=1, progress=False
        )
    R = post._law.corr["g"]
    rho = np.asarray(post.idata["posterior"]["rho_g"])
    np.testing.assert_allclose(R[..., 0, 1], rho, rtol=1e-10)  # from time 0 to time 1
    np.testing.assert_allclose(R[..., 1, 2], rho**2, rtol=1e-10)

    def refuse(asked: str, n_numbers: int, advice: str) -> None:
        raise NotSupportedError(asked)

    monkeypatch.setattr(correlations, "check_memory", refuse)
    monkeypatch.setattr(post._law.corr, "_made", {})
    post.predict(table[:3])  # known levels need none
    post.group_effects(diagnostics=False)
    with pytest.raises(NotSupportedError, match="correlation matrices of 5 effects by `g`"):
        post.predict(table[:3].assign(g=99))


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n_g, n_t = 40, 6
    g, t = np.repeat(np.arange(n_g), 2 * n_t), np.tile(np.repeat(np.arange(n_t), 2), n_g)
    C = np.linalg.cholesky(0.7 ** np.abs(np.subtract.outer(np.arange(n_t), np.arange(n_t))))
    b, c = (np.repeat((rng.normal(size=(n_g, n_t)) @ C.T).ravel(), 2) for _ in range(2))
    x, m1, m2 = rng.normal(size=len(g)), *(rng.integers(0, 12, len(g)).astype(str) for _ in "12")
    mu = np.exp(0.8 + 0.3 * x + 0.8 * b)
    zeros = rng.random(len(g)) < 1 / (1 + np.exp(0.5 - 2.0 * c))
    return pd.DataFrame({
        "g": g, "t": t, "x": x, "m1": m1, "m2": m2,
        "many": rng.poisson(mu * rng.gamma(3.0, 1 / 3.0, len(g))),
        "y": np.where(zeros, 0, rng.poisson(np.exp(1.5 + 0.3 * x))),
    })  # fmt: skip


LATER = pd.DataFrame({"g": [0, 0, 1, 99], "t": [7, 9, 6, 8], "x": [0.1, 0.2, -0.3, 0.0]})
MEMBERS = pd.DataFrame({"m1": ["zz", "1", "yy"], "m2": ["2", "3", "zz"], "x": [0.1, 0.2, -0.3]})


@pytest.mark.parametrize(
    ("term", "new"), [("ar1(t | g)", LATER), ("(1 | mm(m1, m2))", MEMBERS)], ids=["ar1", "mm"]
)
def test_several_predictors_reach_as_far_as_one(
    counts: pd.DataFrame, term: str, new: pd.DataFrame
) -> None:
    formula, family = f"many ~ x + {term}", "negative_binomial"
    one = bmx.Model(formula, counts, family=family).fit_eb()
    several = bmx.Model([formula, "alpha ~ 1"], counts, family=family).fit_eb()
    expected, found = (fit.predict(new, kind="linear") for fit in (one, several))
    np.testing.assert_allclose(found["estimate"], expected["estimate"], atol=1e-5)
    np.testing.assert_allclose(found["sd"], expected["sd"], rtol=0.02)
    mean = several.predict(new)["estimate"].to_numpy()
    np.testing.assert_allclose(mean, one.predict(new)["estimate"], rtol=0.03)


def test_each_predictor_has_its_own_new_positions(counts: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        eb = bmx.Model(
            ["y ~ x", "zi ~ 1 + ar1(t | g)"], counts, family="zero_inflated_poisson"
        ).fit_eb("map")
    found = eb.predict(LATER, kind="linear", parameter="zi")
    b = eb.group_effects("g", parameter="zi").set_index(["level", "effect"])["estimate"]
    rho = float(eb.covariance_parameters(parameter="zi")["estimate"].iloc[0])
    assert eb.covariance_parameters(parameter="all")["predictor"].tolist() == ["zi"]
    assert not len(eb.covariance_parameters())
    center = float(eb.fixed_effects(parameter="zi")["estimate"].iloc[0])
    last = [b.get((str(g), "ar1(t)[5]"), b.get((g, "ar1(t)[5]"), 0.0)) for g in LATER["g"]]
    expected = center + rho ** (LATER["t"].to_numpy() - 5.0) * np.asarray(last)
    np.testing.assert_allclose(found["estimate"], expected, rtol=1e-6)
    # The mean combines the predictors, and knows the positions of both.
    mu = eb.predict(LATER, parameter="mu")["estimate"]
    zi = eb.predict(LATER, parameter="zi")["estimate"]
    mean = eb.predict(LATER)["estimate"]
    assert (mean < mu * 1.3).all()
    np.testing.assert_allclose(mean, (1 - zi) * mu, rtol=0.3)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
def test_draws_of_each_predictor_reach_new_positions(counts: pd.DataFrame) -> None:
    fit = bmx.Model(["y ~ x", "zi ~ 1 + ar1(t | g)"], counts, family="zero_inflated_poisson").fit(
        300, tune=300, chains=2, seed=1, progress=False
    )
    far = LATER.assign(t=[400, 500, 5, 400])
    draws = fit.predict_draws(far, kind="linear", parameter="zi", seed=2)
    population = fit.predict(far, kind="linear", parameter="zi", groups="population")
    sd = float(fit.variance_components(parameter="zi")["sd"].iloc[0])
    values = draws.to_numpy().reshape(-1, len(far))
    # A time far away knows nothing of its level: the law of a new one.
    assert abs(values[:, 0].mean() - population["estimate"].iloc[0]) < 0.3
    assert values[:, 0].std() == pytest.approx(np.hypot(sd, population["sd"].iloc[0]), rel=0.5)
    known = fit.predict(LATER.iloc[2:3].assign(t=5), kind="linear", parameter="zi")
    assert values[:, 2].mean() == pytest.approx(float(known["estimate"].iloc[0]), abs=0.2)
    assert fit.predict(far)["estimate"].notna().all()
