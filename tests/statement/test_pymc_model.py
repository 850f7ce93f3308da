"""The PyMC model is the model of the design, checked against an independent NumPy density."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmix as bmx
from bayesmix.covariance import covariance_of
from bayesmix.errors import DataError, NotSupportedError

FAST = "FAST_COMPILE"  # no C and no numba: seconds become tenths

MODELS = {
    "no group": ("y ~ x * f", {}),
    "intercept": ("y ~ x + (1 | g)", {}),
    "intercept only": ("y ~ 1 + (1 | g)", {}),
    "correlated": ("y ~ x + (x | g)", {}),
    "correlated, three": ("y ~ x + (x + z | g)", {}),
    "correlated, four": ("y ~ x + (x * z | h)", {}),
    "uncorrelated": ("y ~ x + (x || g)", {}),
    "slope alone": ("y ~ x + (0 + x | g)", {}),
    "two terms": ("y ~ x + (1 | g) + (0 + x | g)", {}),
    "two blocks": ("y ~ x + (x | g) + (0 + z + u | g)", {}),
    "block and singles": ("y ~ x + (x | g) + (0 + z + u || g)", {}),
    "nested": ("y ~ x + (1 | h/ward)", {}),
    "crossed": ("y ~ x + f + (x | g) + (1 | h)", {}),
    "factor effects": ("y ~ f + (0 + C(f) | g)", {}),
    "no intercept": ("y ~ 0 + x + f + (1 | g)", {}),
    "no fixed effects": ("y ~ 0 + (1 | g)", {}),
    "offset": ("y ~ x + offset(z) + (1 | g)", {}),
    "priors": (
        "y ~ x + z + (x | g)",
        {
            "Intercept": bmx.Prior("Normal", mu=50, sigma=3),
            "x": bmx.Prior("StudentT", nu=4, mu=0, sigma=2),
            "sd(g, x)": bmx.Prior("Gamma", alpha=2, beta=0.5),
            "corr": bmx.Prior("LKJ", eta=5),
            "sigma": bmx.Prior("Exponential", lam=0.3),
        },
    ),
}

DISTRIBUTIONS = {
    "Normal": lambda p: stats.norm(p["mu"], p["sigma"]),
    "StudentT": lambda p: stats.t(p["nu"], p["mu"], p["sigma"]),
    "HalfCauchy": lambda p: stats.halfcauchy(scale=p["beta"]),
    "Gamma": lambda p: stats.gamma(p["alpha"], scale=1 / p["beta"]),
    "Exponential": lambda p: stats.expon(scale=1 / p["lam"]),
}


def log_prior(prior: bmx.Prior, value: float) -> float:
    return float(DISTRIBUTIONS[prior.distribution](prior.parameters).logpdf(value))


def lkj_log_normalizer(q: int, eta: float) -> float:
    """log of the integral of |R|^(eta - 1) over correlation matrices (Lewandowski et al. 2009)."""
    total = 0.0
    for k in range(1, q):
        a = eta + (q - 1 - k) / 2
        total += (q - k) * ((2 * a - 1) * np.log(2) + special.betaln(a, a))
    return total


def correlation_from_partials(partials: np.ndarray, q: int) -> np.ndarray:
    """Independent of the model's code: by the recursion for partial correlations."""
    P = np.eye(q)
    rows, columns = np.tril_indices(q, -1)
    P[rows, columns] = P[columns, rows] = partials
    R = np.eye(q)
    for j in range(q):
        for i in range(j + 1, q):
            rho = P[i, j]
            for k in range(j - 1, -1, -1):
                rho = rho * np.sqrt((1 - P[j, k] ** 2) * (1 - P[i, k] ** 2)) + P[j, k] * P[i, k]
            R[i, j] = R[j, i] = rho
    return R


def log_jacobian(partials: np.ndarray, q: int) -> float:
    """log |dR / d(unit interval)| by finite differences."""
    rows, columns = np.tril_indices(q, -1)
    step = 1e-6

    def below(p: np.ndarray) -> np.ndarray:
        return correlation_from_partials(p, q)[rows, columns]

    J = [
        (below(partials + step * e) - below(partials - step * e)) / (2 * step)
        for e in np.eye(len(partials))
    ]
    return float(np.linalg.slogdet(2 * np.asarray(J))[1])


def numpy_log_density(model: bmx.Model, values: dict[str, np.ndarray]) -> float:
    """Joint log density of y, effects and parameters, written down from the formula alone."""
    design, priors = model.design, model.prior_entries
    names = list(design.mu.fixed_effects)
    total = 0.0
    beta = np.zeros(len(names))
    slopes = [j for j, name in enumerate(names) if priors.intercept is None or name != "Intercept"]
    for j, entry in zip(slopes, priors.coefficients, strict=True):
        beta[j] = values["slopes"][slopes.index(j)]
        total += log_prior(entry.prior, beta[j])
    if priors.intercept is not None:
        at = names.index("Intercept")
        beta[at] = values["intercept"]
        stated = beta[at]
        if priors.intercept_is_centered:
            stated = beta[at] + sum(design.mu.X[:, j].mean() * beta[j] for j in slopes)
        total += log_prior(priors.intercept.prior, stated)
    eta = design.mu.X @ beta
    if design.mu.offset is not None:
        eta = eta + design.mu.offset
    for group in design.mu.groups:
        sd, z = values[f"sd {group.name}"], values[f"z {group.name}"]
        total += sum(log_prior(e.prior, s) for e, s in zip(priors.sd[group.name], sd, strict=True))
        R = np.eye(group.n_effects)
        for number, block in enumerate(covariance_of(group).free):
            partials = values[f"partials {group.name} {number}"]
            R_block = correlation_from_partials(partials, block.size)
            lkj = priors.corr[group.name].prior.parameters["eta"]
            total += (lkj - 1) * np.linalg.slogdet(R_block)[1]
            total += log_jacobian(partials, block.size) - lkj_log_normalizer(block.size, lkj)
            R[block.start : block.stop, block.start : block.stop] = R_block
        Sigma = np.diag(sd) @ R @ np.diag(sd)
        b = z @ np.linalg.cholesky(Sigma).T
        # The density of b, brought to the standard normals that PyMC's model has.
        total += stats.multivariate_normal(np.zeros(len(sd)), Sigma).logpdf(b).sum()
        if model.parametrization == "non-centered":
            total += group.n_levels * 0.5 * np.linalg.slogdet(Sigma)[1]
        eta = eta + np.einsum("nq,nq->n", group.Z, b[group.index])
    sigma = values["sigma"]
    total += log_prior(priors.family["sigma"].prior, float(sigma))
    return float(total + stats.norm(eta, sigma).logpdf(model.y).sum())


def random_values(model: bmx.Model, rng: np.random.Generator) -> dict[str, np.ndarray]:
    design = model.design
    n_slopes = len(model.prior_entries.coefficients)
    values = {"slopes": rng.normal(size=n_slopes), "intercept": rng.normal(40, 5)}
    for group in design.mu.groups:
        values[f"sd {group.name}"] = rng.exponential(2, group.n_effects)
        values[f"z {group.name}"] = rng.normal(size=(group.n_levels, group.n_effects))
        for number, block in enumerate(covariance_of(group).free):
            size = block.size * (block.size - 1) // 2
            values[f"partials {group.name} {number}"] = rng.uniform(-0.8, 0.8, size)
    values["sigma"] = rng.exponential(3) + 0.5
    return values


def pymc_point(model: bmx.Model, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same values under the names and on the scales of PyMC's unconstrained point."""
    pm_model = model.pymc_model
    point: dict[str, Any] = {}
    free = {rv.name: pm_model.rvs_to_values[rv].name for rv in pm_model.free_RVs}

    def put(name: str, value: Any) -> None:
        target = free.pop(name)
        value = np.asarray(value, dtype=float)
        if target.endswith("_log__"):
            value = np.log(value)
        elif target.endswith("_logodds__"):
            value = special.logit(value)
        point[target] = value

    design, priors = model.design, model.prior_entries
    if priors.intercept is not None:
        means = design.mu.X.mean(axis=0)
        slopes = [j for j, name in enumerate(design.mu.fixed_effects) if name != "Intercept"]
        if priors.intercept_is_centered:
            put("intercept_at_means", values["intercept"] + means[slopes] @ values["slopes"])
        else:
            put("intercept", values["intercept"])
    name = "coefficients" if priors.intercept is not None else "beta"
    if name in free:
        put(name, values["slopes"])
    else:
        slopes_names = [n for n in design.mu.fixed_effects if n != "Intercept"]
        for label, value in zip(slopes_names, values["slopes"], strict=True):
            put(f"{name}[{label}]", value)
    for group in design.mu.groups:
        g = group.name
        if f"sd_{g}" in free:
            put(f"sd_{g}", values[f"sd {g}"])
        else:
            for effect, value in zip(group.effects, values[f"sd {g}"], strict=True):
                put(f"sd_{g}[{effect}]", value)
        blocks = covariance_of(group).free
        R = np.eye(group.n_effects)
        for number, block in enumerate(blocks):
            partials = values[f"partials {g} {number}"]
            raw = f"partial_corr_{g}" if len(blocks) == 1 else f"partial_corr_{g}_{number}"
            put(raw, (partials + 1) / 2)
            R[block.start : block.stop, block.start : block.stop] = correlation_from_partials(
                partials, block.size
            )
        if model.parametrization == "non-centered":
            put(f"z_{g}", values[f"z {g}"])
        else:
            L = values[f"sd {g}"][:, None] * np.linalg.cholesky(R)
            put(f"b_{g}", values[f"z {g}"] @ L.T)
    put("sigma", values["sigma"])
    assert not free, f"not given a value: {free}"
    return point


@pytest.mark.parametrize("parametrization", ["non-centered", "centered"])
@pytest.mark.parametrize("kind", MODELS)
def test_log_density(kind: str, parametrization: Any, data: pd.DataFrame) -> None:
    text, priors = MODELS[kind]
    model = bmx.Model(text, data, priors=priors, parametrization=parametrization)
    logp = model.pymc_model.compile_logp(jacobian=False, mode=FAST)
    rng = np.random.default_rng(7)
    for _ in range(3):
        values = random_values(model, rng)
        expected = numpy_log_density(model, values)
        assert logp(pymc_point(model, values)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("q", "eta"), [(2, 1.0), (2, 4.0), (3, 2.0), (4, 0.7)])
def test_prior_draws_of_a_correlation_have_the_exact_marginal(q: int, eta: float) -> None:
    """Every pair of an LKJ matrix is 2 Beta(a, a) - 1 with a = eta + (q - 2) / 2."""
    import pymc as pm

    from bayesmix.covariance.lkj import lkj_cholesky

    with pm.Model():
        L = lkj_cholesky("r", q, eta)
        R = pm.draw(L @ L.T, draws=4000, random_seed=3, mode=FAST)
    a = eta + (q - 2) / 2
    for i, j in zip(*np.tril_indices(q, -1), strict=True):
        assert stats.kstest((R[:, i, j] + 1) / 2, stats.beta(a, a).cdf).pvalue > 1e-3
    np.testing.assert_allclose(R[:, range(q), range(q)], 1)


def test_names_dims_and_data(data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x + offset(z) + (x | g) + (1 | h:ward)", data).pymc_model
    dims = model.named_vars_to_dims
    assert dims["beta"] == ("fixed_effect",)
    assert dims["sd_g"] == ("g_effect",)
    assert dims["corr_g"] == ("g_effect", "g_effect_bis")
    assert dims["b_g"] == ("g_level", "g_effect")
    assert dims["b_h:ward"] == ("h:ward_level", "h:ward_effect")
    assert "corr_h:ward" not in model.named_vars
    assert list(model.coords["fixed_effect"]) == ["Intercept", "x"]
    assert list(model.coords["g_level"]) == list("abcdefgh")
    data_names = {variable.name for variable in model.data_vars}
    assert {"X", "offset", "index_g", "Z_g", "index_h:ward"} < data_names


def test_the_observed_variable_collides_with_no_column(data: pd.DataFrame) -> None:
    assert [v.name for v in bmx.Model("y ~ x", data).pymc_model.observed_RVs] == ["y_obs"]
    other = data.rename(columns={"y": "size"})
    assert [v.name for v in bmx.Model("size ~ x", other).pymc_model.observed_RVs] == ["y"]
    both = data.assign(y_obs=data["x"])
    assert [v.name for v in bmx.Model("y ~ y_obs", both).pymc_model.observed_RVs] == ["y_obs_"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("y ~ 1 + (1 | fixed)", {"g": "fixed"}),
        ("y ~ 1 + (1 | sd_a) + (1 | a_level)", {"g": "sd_a", "h": "a_level"}),
    ],
)
def test_names_that_would_lose_draws_are_refused(
    data: pd.DataFrame, text: str, names: dict[str, str]
) -> None:
    with pytest.raises(DataError, match="rename its column"):
        bmx.Model(text, data.rename(columns=names))


def test_columns_called_like_parameters_are_fine(data: pd.DataFrame) -> None:
    data = data.rename(columns={"x": "sigma", "z": "beta", "g": "sd", "u": "draw"})
    model = bmx.Model("y ~ sigma + beta + draw + (sigma | sd)", data)
    assert model.design.mu.fixed_effects == ("Intercept", "sigma", "beta", "draw")
    assert np.isfinite(model.pymc_model.compile_logp(mode=FAST)(model.pymc_model.initial_point()))


def test_an_unknown_parametrization_is_refused(data: pd.DataFrame) -> None:
    with pytest.raises(NotSupportedError, match="not one of 'non-centered', 'centered'"):
        bmx.Model("y ~ x", data, parametrization="noncentered")  # type: ignore[arg-type]


def test_the_graph_names_every_variable(data: pd.DataFrame) -> None:
    source = bmx.Model("y ~ x + (x | g)", data).graph().source
    for name in ("beta", "sd_g", "corr_g", "b_g", "sigma"):
        assert name in source


@pytest.mark.compiled
@pytest.mark.parametrize("family", ["binomial", "beta_binomial", "zero_inflated_binomial"])
def test_pymc_can_draw_successes_of_trials(family: str, data: pd.DataFrame) -> None:
    import pymc as pm

    data = data.assign(won=3, n=10)
    model = bmx.Model("proportion(won, n) ~ x + (1 | g)", data, family=family)
    draws = pm.draw(model.pymc_model[model.names.observed], random_seed=1)
    assert ((draws >= 0) & (draws <= 10)).all()
    assert "trials" in model.graph().source


def test_a_graph_needs_no_dot_to_be_shown(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no program there
    graph = bmx.Model("y ~ x + (x | g)", data).graph()
    shown = graph._repr_mimebundle_()
    assert "sd_g ~ HalfCauchy" in shown["text/plain"]
    assert "install graphviz" in shown["text/html"]
    assert graph._repr_svg_() is None
    assert "sigma" in repr(graph)
    for draw in (lambda: graph.pipe(format="svg"), lambda: graph.render(tmp_path / "graph")):
        with pytest.raises(NotSupportedError, match="`dot` of graphviz"):
            draw()
    assert Path(graph.save(tmp_path / "graph.gv")).read_text() == graph.source
    assert copy.copy(graph).source == graph.source
    monkeypatch.setattr(type(graph.digraph), "pipe", lambda *_, **__: "<svg/>")
    assert graph._repr_svg_() == "<svg/>"
    assert "image/svg+xml" in graph._repr_mimebundle_()
