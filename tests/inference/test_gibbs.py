"""One grouping factor after the other: the posterior of the dense algebra, and beyond its size."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError, SamplingWarning
from bayesmix.gaussian import structure
from bayesmix.gaussian.density import log_density
from bayesmix.inference import factor_blocks, gibbs
from bayesmix.inference.factor_blocks import divided, factors_together, why_quicker
from bayesmix.inference.slices import slice_along

from .alike import check_alike, draws_of

FORMULAS: dict[str, tuple[str, dict[str, Any]]] = {
    "crossed": ("y ~ x + (1 | g) + (1 | h)", {}),
    "weights": ("y ~ x + (1 | g) + (1 | h)", {"weights": "w"}),
    "standard errors": ("y ~ x + (1 | g) + (1 | h)", {"known_se": "w"}),
    "slopes": ("y ~ x + (x | g) + (1 | h)", {}),
    "uncorrelated": ("y ~ x + (x || g) + (1 | h)", {}),
    "nested and crossed": ("y ~ x + (1 | g / f) + (1 | h)", {}),
    "smooth": ("y ~ s(x, k=5) + (1 | g) + (1 | h)", {}),
    "structure": ("y ~ x + ar1(t | g) + (1 | h)", {}),
    "priors and offset": (
        "y ~ x + offset(w) + (1 | g) + (1 | h)",
        {"priors": {"x": bmx.Prior("Normal", mu=3, sigma=0.05),
                    "sd(h)": bmx.Prior("Gamma", alpha=20, beta=40)}},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 600
    g, h, f, t = (rng.integers(0, k, n) for k in (30, 20, 2, 4))
    x, w = rng.normal(size=n), rng.uniform(0.5, 2, n)
    y = 300 + 2 * x + rng.normal(size=30)[g] + (0.7 * rng.normal(size=30)[g]) * x
    y += 0.8 * rng.normal(size=20)[h] + 0.5 * rng.normal(size=60)[2 * g + f] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "w": w, "t": t, "g": g, "h": h, "f": f})


@pytest.fixture(scope="module")
def crossed(data: pd.DataFrame) -> bmx.Posterior:
    model = bmx.Model(FORMULAS["crossed"][0], data)
    return model.fit(seed=1, sampler="gibbs", progress=False)


@pytest.mark.parametrize("name", FORMULAS)
def test_it_has_the_posterior_of_the_dense_algebra(name: str, data: pd.DataFrame) -> None:
    formula, given = FORMULAS[name]
    model = bmx.Model(formula, data, **given)
    ours = model.fit(seed=1, sampler="gibbs", progress=False)
    assert ours.idata.attrs["engine"] == "fast (collapsed Gibbs)"
    check_alike(ours, model.fit(seed=2, progress=False), ess=1000)
    assert ours.diagnostics().ok


def test_few_levels_have_the_tails_of_the_dense_algebra() -> None:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"g": np.arange(60) % 5, "h": np.arange(60) // 12})
    data["y"] = rng.normal(size=5)[data["g"]] + 0.2 * rng.normal(size=5)[data["h"]]
    data["y"] += rng.normal(size=60)
    model = bmx.Model("y ~ 1 + (1 | g) + (1 | h)", data)
    ours, dense = (
        model.fit(10_000, seed=seed, sampler=sampler, progress=False)
        for seed, sampler in ((1, "gibbs"), (2, "independent"))
    )
    ess = min(fit.diagnostics().min_ess_bulk for fit in (ours, dense))
    assert ess > 5000
    for name in ("sd_g", "sd_h", "sigma"):
        a, b = (draws_of(fit)[name].ravel() for fit in (ours, dense))
        for p in (0.01, 0.1, 0.5, 0.9, 0.99):
            share = (a < np.quantile(b, p)).mean()
            assert abs(share - p) < 5 * np.sqrt(2 * p * (1 - p) / ess), (name, p)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_block_has_the_equations_of_what_the_others_leave(
    name: str, data: pd.DataFrame, rng: np.random.Generator
) -> None:
    formula, given = FORMULAS[name]
    model = bmx.Model(formula, data, **given)
    whole = divided(model)
    b = [rng.normal(size=block.n_effects) for block in whole.blocks]
    state = gibbs._State(whole, [np.zeros(0)] * len(b), b)
    mu, priors = model.design.mu, model.prior_entries
    for k, places in enumerate(factors_together(mu.groups)):
        own = state.given_others(k)
        rest = model.y.astype(float).copy()
        for other, values in zip(whole.blocks, b, strict=True):
            if other is whole.blocks[k]:
                continue
            for group_name, effects in gibbs.split_by_group(other.problem, values).items():
                group = next(g for g in mu.groups if g.name == group_name)
                rest -= np.einsum("nq,nq->n", group.Z, effects[group.index])
        predictor = gibbs.replace(mu, groups=tuple(mu.groups[p] for p in places))
        problem = factor_blocks.build_problem(
            predictor, rest, residual=model.residual, rows=model.rows
        )
        density = whole.blocks[k].density
        # Both are densities of the same rows: they differ by a constant, for their units do.
        found, wanted = [], []
        for _ in range(3):
            x = rng.normal(size=density.n_coordinates) * 0.3
            found.append(own.value(x))
            wanted.append(
                log_density(
                    problem.equations, problem.coordinates(priors),
                    problem.fixed_prior(predictor, priors.mu), x, True, np.empty(len(x)),
                )
                if not problem.sigma_is_known
                else factor_blocks.ValueDensity(
                    eq=problem.equations, co=problem.coordinates(priors),
                    prior=problem.fixed_prior(predictor, priors.mu),
                    known=problem.known_precision,
                ).values(x[None])[0]
            )  # fmt: skip
        np.testing.assert_allclose(np.diff(found), np.diff(wanted), rtol=1e-7, atol=1e-6)


def test_nested_factors_are_drawn_together(data: pd.DataFrame) -> None:
    groups = bmx.Model("y ~ x + (1 | h) + (1 | g / f)", data).design.mu.groups
    blocks = factors_together(groups)
    assert [[groups[k].name for k in block] for block in blocks] == [["g:f", "g"], ["h"]]


def test_beyond_the_dense_root_it_is_taken_by_itself(
    data: pd.DataFrame, crossed: bmx.Posterior, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(structure, "MAX_ROOT", 10)
    model = bmx.Model(FORMULAS["crossed"][0], data)
    post = model.fit(seed=1, engine="fast", progress=False)
    for name, values in draws_of(crossed).items():
        np.testing.assert_array_equal(draws_of(post)[name], values)
    text = " ".join(str(post.summary()).split())
    assert "engine fast (collapsed Gibbs)" in text
    assert "One grouping factor after the other: the grouping factors crossed with `g`" in text
    assert "Papaspiliopoulos" in str(post.methods())
    assert any("Biometrika 107" in line for line in post.methods().references)
    post.save(tmp_path / "post.nc")
    assert str(bmx.load(tmp_path / "post.nc").summary()) == str(post.summary())


def test_other_words_do_not_take_it(data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structure, "MAX_ROOT", 10)
    model = bmx.Model(FORMULAS["crossed"][0], data)
    for options in ({"sampler": "nuts"}, {"target_accept": 0.9}, {"sampler": "independent"}):
        with pytest.raises(NotSupportedError, match="at most 10 of them in memory"):
            model.fit(20, engine="fast", progress=False, **options)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_it_is_taken_where_it_is_quicker(
    data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bmx.Model(FORMULAS["crossed"][0], data)
    assert not why_quicker(model)
    monkeypatch.setattr(factor_blocks, "seconds_of_root", lambda n: 0.1 * n)
    assert why_quicker(model) == "a dense matrix of 20 columns takes longer at each draw"
    post = model.fit(50, chains=2, seed=1, progress=False)
    assert post.idata.attrs["engine"] == "fast (collapsed Gibbs)"
    exact = model.fit(50, chains=2, seed=1, sampler="independent", progress=False)
    assert exact.idata.attrs["engine"] == "fast (independent draws)"


def test_factors_that_are_nearly_nested_go_back_to_the_dense_algebra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Few rows tell levels of g and h apart, and sweeps hardly move what the two share."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 30)
    h = np.where(np.arange(600) % 90 == 0, (g + 1) % 20, g)
    y = rng.normal(size=20)[g] + rng.normal(size=20)[h] + 0.1 * rng.normal(size=600)
    model = bmx.Model("y ~ 1 + (1 | g) + (1 | h)", pd.DataFrame({"y": y, "g": g, "h": h}))
    monkeypatch.setattr(factor_blocks, "seconds_of_root", lambda n: 0.1 * n)
    said: list[str] = []
    monkeypatch.setattr("bayesmix.inference.announce.announce", lambda text, **_: said.append(text))
    post = model.fit(seed=1, progress=False)
    assert any("drawing with all of them together" in text for text in said)
    assert post.idata.attrs["engine"] == "fast (independent draws)"
    assert post.diagnostics().ok
    exact = model.fit(seed=1, sampler="independent", progress=False)
    np.testing.assert_array_equal(post.idata["posterior"]["beta"], exact.idata["posterior"]["beta"])
    with pytest.warns(bmx.errors.ConvergenceWarning):
        model.fit(300, seed=1, sampler="gibbs", progress=False)


def test_a_posterior_answers_what_others_answer(
    data: pd.DataFrame, crossed: bmx.Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = crossed.model.fit(seed=2, progress=False)
    new = data.iloc[:20]
    for ask in (
        lambda post: post.predict(new)["estimate"],
        lambda post: post.fitted()["estimate"],
        lambda post: post.comparisons("x")["estimate"],
        lambda post: post.group_effects("g", diagnostics=False)["estimate"],
    ):
        a, b = ask(crossed), ask(dense)
        np.testing.assert_allclose(a, b, atol=0.1)
    monkeypatch.setattr(structure, "MAX_ROOT", 10)  # nothing goes back to the dense root
    large = bmx.Model(FORMULAS["crossed"][0], data).fit(seed=1, progress=False)
    assert large.loo().elpd == pytest.approx(dense.loo().elpd, abs=1)
    large.check()
    large.summary()
    large.predict(new.assign(g=999))
    large.r2()
    large.prior_sensitivity()


def test_moments_are_those_of_the_draws(
    data: pd.DataFrame, crossed: bmx.Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = crossed.model.fit(seed=1, sampler="gibbs", group_draws="moments", progress=False)
    for ask in (
        lambda fit: fit.group_effects("g", diagnostics=False),
        lambda fit: fit.group_coefficients("h", diagnostics=False),
    ):
        a, b = ask(post), ask(crossed)
        np.testing.assert_allclose(a["estimate"], b["estimate"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(a["sd"], b["sd"], rtol=1e-2)
    monkeypatch.setattr(structure, "MAX_ROOT", 10)
    with pytest.raises(NotSupportedError, match=r'not drawn again.*group_draws="all"'):
        post.predict(data.iloc[:5])


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_cores_change_nothing_and_chains_are_their_own(crossed: bmx.Posterior) -> None:
    one, two = (
        crossed.model.fit(50, seed=4, cores=cores, sampler="gibbs", progress=False)
        for cores in (1, 2)
    )
    for name, values in draws_of(one).items():
        np.testing.assert_array_equal(values, draws_of(two)[name])
    assert len(np.unique(draws_of(one)["sigma"][:, 0])) == 4
    assert one.idata.attrs["tune"] == 100


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_an_interrupt_returns_the_draws_so_far(
    crossed: bmx.Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = threading.Event()
    add = gibbs._Kept.add

    def heard(self: Any, c: int, t: int, state: Any) -> None:
        add(self, c, t, state)
        if c == 1 and t > 30:
            drawn.set()

    monkeypatch.setattr(gibbs._Kept, "add", heard)

    def interrupt() -> None:
        if drawn.wait(60):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    try:
        with pytest.warns(SamplingWarning, match="interrupted"):
            post = crossed.model.fit(
                200_000, chains=2, seed=1, sampler="gibbs", group_draws="moments", progress=False
            )
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
    assert 0 < post.idata["posterior"].sizes["draw"] < 200_000
    assert np.isfinite(draws_of(post)["beta"]).all()
    assert np.isfinite(post.group_effects("g")["estimate"]).all()


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_a_long_run_says_how_far_it_is(
    crossed: bmx.Posterior, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bayesmix.inference.announce._SAY_AFTER", 0.0)
    crossed.model.fit(200, seed=1, sampler="gibbs")
    assert "sweep 1,200 of 1,200\n" in capfd.readouterr().err


REFUSED: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "binary": ("z ~ x + (1 | g)", {"family": "bernoulli"}, {}, "normal response"),
    "residuals": (["y ~ x + (1 | h)", "residual ~ ar1(row | g)"], {}, {}, "independent"),
    "sigma": (["y ~ x + (1 | h)", "sigma ~ x"], {}, {}, "one sigma"),
    "no groups": ("y ~ x", {}, {}, "no group effects"),
    "prior": ("y ~ x + (1 | g)", {"priors": {"sd(g)": bmx.Prior("Weibull", alpha=1, beta=1)}},
              {}, "of the prior"),
    "step size": ("y ~ x + (1 | g)", {}, {"target_accept": 0.9}, "no step size"),
    "engine": ("y ~ x + (1 | g)", {}, {"engine": "pymc"}, "of the fast engine"),
    "prior draws": ("y ~ x + (1 | g)", {}, {"prior_only": True}, "no sampler"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_take_says_why(name: str, data: pd.DataFrame) -> None:
    formula, given, options, why = REFUSED[name]
    data = data.assign(z=(data["y"] > 300).astype(int), row=np.arange(len(data)))
    with pytest.raises(NotSupportedError, match=rf'sampler="gibbs" is not possible: .*{why}'):
        bmx.Model(formula, data, **given).fit(20, sampler="gibbs", progress=False, **options)


def test_levels_that_are_related_are_refused(data: pd.DataFrame) -> None:
    A = pd.DataFrame(np.eye(30) + 0.1, index=range(30), columns=range(30))
    model = bmx.Model("y ~ x + (1 | gr(g, cov=A)) + (1 | h)", data, matrices={"A": A})
    with pytest.raises(NotSupportedError, match="the levels of `g` are related"):
        model.fit(20, sampler="gibbs", progress=False)


def test_slices_leave_a_normal_law_as_it_is(rng: np.random.Generator) -> None:
    root = np.array([[1.0, 0.0], [0.9, 0.4]])

    def log_p(x: np.ndarray) -> float:
        z = np.linalg.solve(root, x)
        return float(-0.5 * z @ z) if x[0] > -1 else -np.inf  # with an edge

    x, out = np.zeros(2), []
    value = log_p(x)
    for _ in range(20_000):
        x, value = slice_along(log_p, x, value, np.eye(2), rng)
        out.append(x)
    draws = np.asarray(out)
    wanted = rng.normal(size=(400_000, 2)) @ root.T
    wanted = wanted[wanted[:, 0] > -1]
    assert (draws[:, 0] > -1).all()
    for p in (0.05, 0.5, 0.95):
        for k in (0, 1):
            share = (draws[:, k] < np.quantile(wanted[:, k], p)).mean()
            assert abs(share - p) < 0.025
