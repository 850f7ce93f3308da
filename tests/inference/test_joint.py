"""The fast engine beyond the normal."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix import families
from bayesmix.errors import NotSupportedError, SeparationWarning
from tests.glmm.models import non_centred_density

FAST = "FAST_COMPILE"
FAMILIES: dict[str, tuple[str, Any]] = {
    "bernoulli": ("bin", "bernoulli"),
    "bernoulli probit": ("bin", families.Bernoulli(link="probit")),
    "bernoulli cloglog": ("bin", families.Bernoulli(link="cloglog")),
    "bernoulli cauchit": ("bin", families.Bernoulli(link="cauchit")),
    "binomial": ("proportion(k, trials)", "binomial"),
    "binomial probit": ("proportion(k, trials)", families.Binomial(link="probit")),
    "poisson": ("count", "poisson"),
    "poisson sqrt": ("count", families.Poisson(link="sqrt")),
    "negative_binomial": ("count", "negative_binomial"),
    "gamma": ("pos", "gamma"),
    "beta": ("frac", "beta"),
    "beta cloglog": ("frac", families.Beta(link="cloglog")),
    "student_t": ("real", "student_t"),
}


def make_data(rng: np.random.Generator, n: int = 90) -> pd.DataFrame:
    g = rng.integers(0, 9, n)
    x = rng.normal(2, 1, n)
    eta = 0.4 * (x - 2) + rng.normal(0, 0.6, 9)[g]
    p = 1 / (1 + np.exp(-eta))
    trials = rng.integers(1, 6, n)
    return pd.DataFrame(
        {
            "x": x, "g": g.astype(str), "h": rng.integers(0, 4, n).astype(str), "trials": trials,
            "k": rng.binomial(trials, p), "bin": rng.binomial(1, p),
            "count": rng.poisson(np.exp(eta)), "pos": rng.gamma(3, np.exp(eta) / 3),
            "frac": np.clip(rng.beta(5 * p, 5 * (1 - p)), 0.01, 0.99),
            "real": eta + rng.standard_t(4, n),
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_the_kernels_density_is_pymcs(name: str, rng: np.random.Generator) -> None:
    left, family = FAMILIES[name]
    model = bmx.Model(f"{left} ~ x + (x || g) + (1 | h)", make_data(rng), family=family)
    gp = model.glmm_problem
    co = gp.problem.coordinates(model.prior_entries)
    prior = gp.problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    logp = model.pymc_model.compile_logp(jacobian=False, mode=FAST)
    transformed = {v.name for v in model.pymc_model.value_vars}
    order = [group.name for group in gp.problem.groups]
    means = model.design.mu.X[:, 1].mean()
    ours, theirs = [], []
    for _ in range(4):
        sd = {g: np.exp(rng.normal(-1, 0.3, 2 if g == "g" else 1)) for g in order}
        z = {g: rng.normal(0, 0.5, (9 if g == "g" else 4, len(sd[g]))) for g in order}
        phi = np.exp(rng.normal(0.5, 0.2, len(gp.parameters)))
        center, slope = rng.normal(1.0, 0.1), rng.normal(0, 0.1)
        values: dict[str, Any] = {
            "intercept_at_means": center, "coefficients": np.asarray([slope]),
            **{f"sd_{g}": sd[g] for g in order}, **{f"z_{g}": z[g] for g in order},
            **dict(zip(gp.parameters, phi, strict=True)),
        }  # fmt: skip
        point = {
            **{k: v for k, v in values.items() if k in transformed},
            **{f"{k}_log__": np.log(v) for k, v in values.items() if f"{k}_log__" in transformed},
        }
        assert set(point) == transformed
        theirs.append(float(logp(point)))
        t = np.concatenate([*(np.log(sd[g]) for g in order), np.log(phi)])
        beta = gp.problem.scaling.TX @ [center - slope * means, slope]
        inside = np.concatenate([*(z[g].ravel() for g in order), beta])
        value = non_centred_density(gp, co, prior, t, inside)
        ours.append(value - t.sum())  # the Jacobian of the logarithms
    differences = np.diff(ours) - np.diff(theirs)
    assert np.abs(differences).max() < 1e-8 * np.abs(theirs).max()


def test_auto_takes_the_fast_engine_and_says_so(rng: np.random.Generator) -> None:
    model = bmx.Model("count ~ x + (1 | g)", make_data(rng, 600), family="poisson")
    posterior = model.fit(draws=1000, chains=2, seed=3, progress=False)
    assert posterior.idata.attrs["engine"].startswith("fast")
    assert "engine fast" in str(posterior.summary())
    again = model.fit(draws=1000, chains=2, seed=3, progress=False)
    for name in ("beta", "sd_g", "b_g"):
        np.testing.assert_array_equal(
            posterior.idata["posterior"][name].values, again.idata["posterior"][name].values
        )


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")  # of names only
def test_the_tree_has_the_variables_of_the_pymc_engine(rng: np.random.Generator) -> None:
    model = bmx.Model("count ~ x + (x | g)", make_data(rng, 600), family="negative_binomial")
    found = model.fit(draws=1000, chains=2, seed=3, progress=False).idata["posterior"]
    assert set(found.data_vars) == {"beta", "sd_g", "corr_g", "b_g", "alpha"}
    assert found["corr_g"].dims == ("chain", "draw", "g_effect", "g_effect_bis")
    assert found["b_g"].dims == ("chain", "draw", "g_level", "g_effect")
    assert (found["alpha"] > 0).all()


def test_a_poor_data_set_has_no_divergences() -> None:
    """Five levels of three rows: where a centred parametrization breaks down."""
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"g": np.repeat(list("abcde"), 3), "y": rng.integers(0, 2, 15)})
    posterior = bmx.Model("y ~ 1 + (1 | g)", data, family="bernoulli").fit(seed=1, progress=False)
    diagnostics = posterior.diagnostics()
    assert diagnostics.divergences == 0
    assert diagnostics.min_ess_bulk > 1000
    assert diagnostics.max_r_hat < 1.01


def test_how_far_effects_are_centred_depends_on_what_their_rows_know(
    rng: np.random.Generator,
) -> None:
    from bayesmix.inference.whitening import find_whitening

    levels = [f"g{i:02d}" for i in range(40)]
    sizes = [1] * 10 + [60] * 30
    data = pd.DataFrame({"g": np.repeat(levels, sizes)})
    effect = rng.normal(0, 1, 40)
    data["y"] = rng.poisson(np.exp(np.repeat(effect, sizes) - 1))
    data["x"] = rng.normal(size=len(data))
    data["y"] += rng.poisson(np.exp(data["x"] * np.repeat(effect, sizes)[::-1] - 1))
    model = bmx.Model("y ~ 1 + (x | g)", data, family="poisson")
    gp = model.glmm_problem
    w = find_whitening(
        gp, gp.problem.coordinates(model.prior_entries),
        gp.problem.fixed_prior(model.design.mu, model.prior_entries.mu), model.link_start,
    )  # fmt: skip
    known = w.information.reshape(40, 8)[:, :4].reshape(40, 2, 2)
    sure = np.linalg.eigvalsh(w.L_hat.reshape(2, 2).T @ known @ w.L_hat.reshape(2, 2))
    assert np.median(sure[:10, 0]) < 1.0
    assert sure[10:].min() > 2.0
    assert w.well_determined


def test_a_split_outcome_keeps_a_proper_posterior() -> None:
    data = pd.DataFrame({"x": np.arange(40.0), "g": np.tile(list("abcd"), 10)})
    data["y"] = (data["x"] > 19.5).astype(int)
    model = bmx.Model("y ~ x + (1 | g)", data, family="bernoulli")
    posterior = model.fit(draws=500, chains=2, seed=1, progress=False)
    assert np.isfinite(posterior.fixed_effects()["estimate"]).all()
    assert posterior.fixed_effects().loc[1, "lower"] > 0
    with pytest.warns(SeparationWarning, match="Intercept, x separate the outcomes"):
        fit = model.fit_eb()
    assert "Intercept, x separate" in fit.separation
    assert "Separation" in str(fit)
    assert model.fit_eb("map").separation == ""


def test_the_python_way_is_the_same_density(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bayesmix.inference import nutpie_joint

    model = bmx.Model("count ~ x + (1 | g)", make_data(rng, 600), family="poisson")
    native = model.fit(draws=300, chains=1, cores=1, seed=3, progress=False)

    def changed(*_: object) -> None:
        raise TypeError("unexpected keyword argument")

    monkeypatch.setattr(nutpie_joint, "native_model", changed)
    python = model.fit(draws=300, chains=1, cores=1, seed=3, progress=False)
    np.testing.assert_allclose(
        native.idata["posterior"]["beta"].values[:, :10],
        python.idata["posterior"]["beta"].values[:, :10], rtol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "options", "match"),
    [
        ("count ~ x + (1 | g)",
         {"family": "zero_inflated_poisson",
          "priors": {"zi": bmx.Prior("Uniform", lower=0, upper=1)}},
         "zi"),
        ("count ~ x + (1 | g)",
         {"family": "poisson", "priors": {"x": bmx.Prior("StudentT", nu=4, mu=0, sigma=1)}},
         "StudentT"),
    ],
)  # fmt: skip
def test_what_the_fast_engine_cannot_do_it_says(
    text: str, options: dict[str, Any], match: str, rng: np.random.Generator
) -> None:
    with pytest.raises(NotSupportedError, match=match):
        bmx.Model(text, make_data(rng), **options).fit(engine="fast")


def test_moments_of_the_effects_need_a_normal_response(rng: np.random.Generator) -> None:
    model = bmx.Model("count ~ x + (1 | g)", make_data(rng), family="poisson")
    with pytest.raises(NotSupportedError, match="group_draws"):
        model.fit(group_draws="moments")
    normal = bmx.Model("real ~ x + (1 | g)", make_data(rng))
    for given in ({"engine": "pymc"}, {"prior_only": True}):
        with pytest.raises(NotSupportedError, match=r"group_draws.*the fast engine"):
            normal.fit(group_draws="moments", **given)


def test_a_bounded_prior_of_a_standard_deviation_is_kept(rng: np.random.Generator) -> None:
    priors = {"sd(g)": bmx.Prior("Uniform", lower=0.05, upper=0.4)}
    model = bmx.Model("count ~ x + (1 | g)", make_data(rng, 400), family="poisson", priors=priors)
    posterior = model.fit(seed=1, chains=2, progress=False)
    assert posterior.idata.attrs["engine"].startswith("fast")
    sd = posterior.idata["posterior"]["sd_g"].values
    assert 0.05 < sd.min() < sd.max() < 0.4
    mode = model.fit_eb("map").variance_components()["sd"][0]
    assert 0.05 < mode <= 0.4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bernoulli", "negative_binomial", "student_t"])
def test_the_two_engines_agree(name: str, rng: np.random.Generator) -> None:
    left, family = FAMILIES[name]
    n, n_levels = 1200, 24
    g, x = rng.integers(0, n_levels, n), rng.normal(size=n)
    b = rng.multivariate_normal([0, 0], [[0.7, 0.2], [0.2, 0.5]], n_levels)
    eta = 0.3 + 0.4 * x + b[g, 0] + b[g, 1] * x
    data = pd.DataFrame(
        {
            "x": x, "g": g.astype(str), "bin": rng.binomial(1, 1 / (1 + np.exp(-eta))),
            "count": rng.poisson(np.exp(eta) * rng.gamma(3, 1 / 3, n)),
            "real": eta + rng.standard_t(4, n),
        }
    )  # fmt: skip
    model = bmx.Model(f"{left} ~ x + (x | g)", data, family=family)
    fast = model.fit(seed=1, progress=False)
    # With so much data per group PyMC's NUTS moves better in centred effects.
    model = bmx.Model(f"{left} ~ x + (x | g)", data, family=family, parametrization="centered")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bmx.errors.ConvergenceWarning)  # of the slower engine
        pymc = model.fit(seed=2, engine="pymc", draws=1500, progress=False)
    for table in ("fixed_effects", "group_effects"):
        a, c = getattr(fast, table)(), getattr(pymc, table)()
        error = np.sqrt(a["sd"] ** 2 / a["ess_bulk"] + c["sd"] ** 2 / c["ess_bulk"])
        assert (np.abs(a["estimate"] - c["estimate"]) < 4.5 * error).all()
        np.testing.assert_allclose(a["sd"], c["sd"], rtol=0.15)
    np.testing.assert_allclose(
        fast.variance_components()["sd"], pymc.variance_components()["sd"], rtol=0.1
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_counts_with_a_small_variance_beside_others_have_enough_draws_in_the_tails(
    seed: int,
) -> None:
    """Chicks in broods at places, with an effect of each row: the size of a published analysis."""
    rng = np.random.default_rng(seed)
    n, brood = 403, np.sort(np.append(np.arange(118), rng.integers(0, 118, 285)))
    place = rng.integers(0, 63, 118)
    year, height = rng.integers(0, 3, 118)[brood], rng.normal(0, 35, 63)[place][brood]
    eta = np.array([0.4, 1.6, -0.6])[year] - 0.024 * height
    eta += 0.55 * rng.normal(size=63)[place][brood] + 0.75 * rng.normal(size=118)[brood]
    data = pd.DataFrame({
        "ticks": rng.poisson(np.exp(eta + 0.55 * rng.normal(size=n))), "height": height,
        "year": [f"y{k}" for k in year], "brood": [f"b{k:03d}" for k in brood],
        "place": [f"p{k:02d}" for k in place[brood]], "chick": [f"c{k:03d}" for k in range(n)],
    })  # fmt: skip
    text = "ticks ~ year + height + (1 | brood) + (1 | chick) + (1 | place)"
    post = bmx.Model(text, data, family="poisson").fit(seed=seed, progress=False)
    found = post.diagnostics()
    assert found.divergences == 0
    assert found.parameters["ess_tail"].min() > 400
