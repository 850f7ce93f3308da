"""The fast engine: the same posterior without its effects, at no divergence."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ConvergenceWarning, DataWarning, NotSupportedError, SamplingWarning

SLEEP = "Reaction ~ Days + (Days | Subject)"


def fit(text: str, data: pd.DataFrame, **options: Any) -> bmx.Posterior:
    """Fit by NUTS; tests/inference/test_independent.py has what else the fast engine does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return bmx.Model(text, data, priors=options.pop("priors", None)).fit(
            **{"seed": 3, "sampler": "nuts", "progress": False, **options}
        )


@pytest.fixture(scope="module")
def sleep_fast() -> bmx.Posterior:
    return bmx.Model(SLEEP, bmx.load_dataset("sleepstudy")).fit(
        seed=1, sampler="nuts", progress=False
    )


@pytest.fixture(scope="module")
def two_engines() -> tuple[bmx.Posterior, bmx.Posterior]:
    data, options = bmx.load_dataset("sleepstudy"), {"draws": 500, "tune": 500}
    return (
        fit(SLEEP, data, seed=1, **options),
        fit(
            SLEEP,
            data,
            seed=20240611,
            sampler="nutpie",
            engine="pymc",
            target_accept=0.9,
            **options,
        ),
    )


def test_the_fast_engine_is_taken_where_it_is_exact(sleep_fast: bmx.Posterior) -> None:
    assert sleep_fast.idata.attrs["engine"] == "fast (collapsed, nutpie)"
    assert "engine fast" in str(sleep_fast)
    assert sleep_fast.diagnostics().ok
    assert sleep_fast.diagnostics().min_ess_bulk > 2000


def test_it_has_the_form_of_the_pymc_engine(
    two_engines: tuple[bmx.Posterior, bmx.Posterior],
) -> None:
    ours, theirs = (post.idata for post in two_engines)
    assert set(ours.children) == set(theirs.children)
    for group in ours.children:
        assert set(ours[group].data_vars) == set(theirs[group].data_vars)
        for name in ours[group].data_vars:
            assert ours[group][name].dims == theirs[group][name].dims
            assert ours[group][name].shape == theirs[group][name].shape


def test_it_agrees_with_the_pymc_engine(two_engines: tuple[bmx.Posterior, bmx.Posterior]) -> None:
    for name in ("beta", "sd_Subject", "sigma", "b_Subject"):
        a, b = (p.idata["posterior"][name].values.reshape(2000, -1) for p in two_engines)
        # An ESS of 400 for PyMC's sampler, more for ours: 5 standard errors.
        error = b.std(axis=0) * np.sqrt(1 / 400 + 1 / 1250)
        assert np.abs((a.mean(axis=0) - b.mean(axis=0)) / error).max() < 5
        np.testing.assert_allclose(a.std(axis=0), b.std(axis=0), rtol=0.15)


def test_a_seed_makes_the_draws_reproducible() -> None:
    data = bmx.load_dataset("sleepstudy")
    first, second = (fit(SLEEP, data, seed=5, draws=100) for _ in range(2))
    for name in ("beta", "b_Subject", "sigma"):
        np.testing.assert_array_equal(
            first.idata["posterior"][name], second.idata["posterior"][name]
        )
    other = fit(SLEEP, data, seed=6, draws=100)
    assert not np.array_equal(first.idata["posterior"]["beta"], other.idata["posterior"]["beta"])


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x",
        "y ~ 0 + (1 | g)",
        "y ~ x + (x || g)",
        "y ~ x + (x | g) + (0 + z + u | g)",
        "y ~ x + (1 | h/ward)",
        "y ~ f + (x | g) + (1 | h) + (1 | ward)",
        "y ~ x + offset(z) + (1 | g)",
    ],
)
def test_every_structure_is_sampled(text: str, data: pd.DataFrame) -> None:
    posterior = fit(text, data, draws=300, chains=2)
    assert posterior.diagnostics().divergences == 0
    assert posterior.diagnostics().max_r_hat < 1.05
    # REML under almost flat priors: fixed effects agree within their spread.
    reml = posterior.model.fit_eb().fixed_effects()
    ours = posterior.fixed_effects(diagnostics=False)
    if len(reml):
        assert (np.abs(ours["estimate"] - reml["estimate"]) < 0.5 * ours["sd"]).all()


def test_a_zero_variance_leaves_no_divergence(rng: np.random.Generator) -> None:
    """The shape of Dyestuff2, where non-centred samplers struggle."""
    y = rng.normal(size=(6, 5))
    y -= 0.98 * y.mean(axis=1, keepdims=True)
    data = pd.DataFrame({"y": y.ravel(), "g": np.repeat(list("abcdef"), 5)})
    posterior = fit("y ~ 1 + (1 | g)", data, seed=1)
    assert posterior.diagnostics().divergences == 0
    assert posterior.diagnostics().ok
    assert posterior.variance_components()["sd_lower"][0] < 0.05


def test_with_known_errors_and_no_groups_all_is_drawn_exactly(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"y": rng.normal(size=8), "x": rng.normal(size=8), "se": 0.5})
    flat = {"fixed": bmx.Prior("Flat"), "Intercept": bmx.Prior("Flat")}
    model = bmx.Model("y ~ x", data, known_se="se", priors=flat)
    posterior, exact = model.fit(seed=1, progress=False), model.fit_eb("ml").fixed_effects()
    found = posterior.fixed_effects()
    np.testing.assert_allclose(found["estimate"], exact["estimate"], atol=0.04 * exact["sd"].max())
    np.testing.assert_allclose(found["sd"], exact["sd"], rtol=0.05)
    assert posterior.diagnostics().min_ess_bulk > 3000
    assert "Variance components" not in str(posterior.summary())
    with pytest.raises(NotSupportedError, match="no parameters"):
        bmx.Model("y ~ 0", data, known_se="se").fit(progress=False)


def test_a_predictor_far_from_zero_is_warned_of(sleepstudy: pd.DataFrame) -> None:
    far = sleepstudy.assign(Days=sleepstudy["Days"] + 2000)
    with pytest.warns(DataWarning, match=r"`Days` varies by `Subject` .* write center\(Days\)"):
        fit(SLEEP, far, draws=50, chains=1)
    with pytest.warns(DataWarning, match="far from zero"):
        bmx.Model(SLEEP, far).fit_eb("map")
    centred = fit("Reaction ~ center(Days) + (center(Days) | Subject)", far)
    near = fit("Reaction ~ center(Days) + (center(Days) | Subject)", sleepstudy)
    sds = [f.variance_components()["sd"].to_numpy() for f in (centred, near)]
    np.testing.assert_allclose(*sds, rtol=1e-6)


def test_few_levels_and_few_rows(rng: np.random.Generator) -> None:
    data = pd.DataFrame({"y": rng.normal(size=6), "g": list("aabbcc")})
    posterior = fit("y ~ 1 + (1 | g)", data)
    assert posterior.diagnostics().divergences <= 4
    assert posterior.diagnostics().max_r_hat < 1.02


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_unit_of_the_response_does_not_matter(scale: float, sleepstudy: pd.DataFrame) -> None:
    plain = fit(SLEEP, sleepstudy).fixed_effects()
    scaled = fit(SLEEP, sleepstudy.assign(Reaction=sleepstudy["Reaction"] * scale)).fixed_effects()
    np.testing.assert_allclose(scaled["estimate"], plain["estimate"] * scale, rtol=0.02)


def test_moments_stand_for_draws(sleepstudy: pd.DataFrame) -> None:
    draws = fit(SLEEP, sleepstudy, draws=2000)
    moments = fit(SLEEP, sleepstudy, draws=2000, group_draws="moments")
    assert "b_Subject" not in moments.idata["posterior"]
    for name in ("group_effects", "group_coefficients"):
        a = getattr(draws, name)(diagnostics=False)
        b = getattr(moments, name)()
        assert list(b.columns)[:7] == list(a.columns)
        # Draws have Monte Carlo error, the moments next to none.
        assert (np.abs(a["estimate"] - b["estimate"]) < 5 * a["sd"] / np.sqrt(8000) + 0.1).all()
        np.testing.assert_allclose(b["sd"], a["sd"], rtol=0.05)
    assert str(moments)
    for asked, word in (({"point": "median"}, "point"), ({"ci_kind": "hdi"}, "ci_kind")):
        for name in ("group_effects", "group_coefficients", "plot_group_effects"):
            with pytest.raises(NotSupportedError, match=f"{word}=.* needs draws of the effects"):
                getattr(moments, name)(**asked)
        assert "means and normal intervals" in str(moments.summary(**asked))
    assert moments.plot_shrinkage()
    assert moments.plot_group_effects()


def test_auto_keeps_moments_where_draws_would_not_fit(
    sleepstudy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from bayesmix.inference import collapsed

    monkeypatch.setattr(collapsed, "MAX_GROUP_DRAWS", 1000)
    posterior = fit(SLEEP, sleepstudy, draws=50, chains=1)
    assert "b_Subject" not in posterior.idata["posterior"]
    assert 'group_draws="all"' in capfd.readouterr().err
    kept = fit(SLEEP, sleepstudy, draws=50, chains=1, group_draws="all")
    assert "b_Subject" in kept.idata["posterior"]


@pytest.mark.parametrize(
    ("priors", "reason"),
    [
        ({"x": bmx.Prior("StudentT", nu=3)}, "x ~ StudentT"),
        ({"sigma": bmx.Prior("Weibull", alpha=2, beta=1)}, "sigma ~ Weibull"),
    ],
)
def test_where_it_is_not_exact_it_says_why(
    priors: dict[str, Any], reason: str, data: pd.DataFrame
) -> None:
    with pytest.raises(NotSupportedError, match=f'{reason}.*take "pymc"'):
        fit("y ~ x + (1 | g)", data, priors=priors, engine="fast")


def test_a_uniform_prior_holds_its_bounds(data: pd.DataFrame) -> None:
    priors = {"sd": bmx.Prior("Uniform", lower=0.5, upper=1.5)}
    posterior = fit("y ~ x + (1 | g)", data, priors=priors)
    sd = posterior.idata["posterior"]["sd_g"].values
    assert 0.5 < sd.min() < sd.max() < 1.5
    assert posterior.diagnostics().divergences == 0


def test_the_native_and_the_python_way_are_the_same_density(sleepstudy: pd.DataFrame) -> None:
    """Guards nutpie's private interface: if it changes, the way back is taken."""
    import nutpie

    from bayesmix.inference import nutpie_native

    model = bmx.Model(SLEEP, sleepstudy)
    problem = model.gaussian_problem
    co = problem.coordinates(model.prior_entries)
    prior = problem.fixed_prior(model.design.mu, model.prior_entries.mu)
    x = np.asarray([3.2, 1.8, 0.1, 3.2])
    A = np.diag([0.3, 0.3, 0.3, 0.05])

    def start(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=4)

    runs = []
    for make in (nutpie_native.native_density, nutpie_native.density_from_python):
        compiled = make(problem.equations, co, prior, x, A, start)
        tree = nutpie.sample(compiled, draws=300, tune=300, chains=1, cores=1, seed=3,
                             progress_bar=False)  # fmt: skip
        runs.append(tree["posterior"]["z"].values)
    np.testing.assert_allclose(runs[0][:, :20], runs[1][:, :20], rtol=1e-6)


def test_if_nutpie_changes_within_the_python_way_is_taken(
    sleepstudy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bayesmix.inference import nutpie_native

    def changed(*_: object, **__: object) -> None:
        raise TypeError("unexpected keyword argument")

    monkeypatch.setattr(nutpie_native.nutpie.compile_pymc, "CompiledPyMCModel", changed)
    posterior = fit(SLEEP, sleepstudy, draws=100, chains=1)
    assert posterior.idata["posterior"].sizes["draw"] == 100


def test_an_interrupt_returns_the_draws_so_far(sleepstudy: pd.DataFrame) -> None:
    import nutpie

    drawing = threading.Event()
    sample = nutpie.sample

    def watch(progress: list[Any]) -> None:
        if all(chain.finished_draws > 500 for chain in progress):
            drawing.set()

    def watched(*args: Any, **kwargs: Any) -> Any:
        return sample(*args, **kwargs, progress_callback=watch, progress_rate=20)

    def interrupt() -> None:
        if drawing.wait(600):
            os.kill(os.getpid(), signal.SIGINT)

    model = bmx.Model("Reaction ~ Days + (1 | Subject)", sleepstudy)
    thread = threading.Thread(target=interrupt)
    thread.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nutpie, "sample", watched)
            with pytest.warns(SamplingWarning, match="interrupted"):
                posterior = model.fit(draws=1_000_000, chains=2, seed=1, progress=False,
                                      sampler="nuts", group_draws="moments")  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    assert 0 < posterior.idata["posterior"].sizes["draw"] < 1_000_000


@pytest.mark.parametrize("family", ["gaussian", "gamma"])
def test_the_first_fit_on_a_machine_says_that_kernels_compile(
    family: str,
    sleepstudy: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from bayesmix.inference import kernel_cache

    text, normal = "Reaction ~ Days + (1 | Subject)", family == "gaussian"
    bmx.Model(text, sleepstudy, family=family).fit_eb()
    capfd.readouterr()
    # The kernels that this family needs, whatever others are there.
    assert kernel_cache.kernels_are_compiled(normal=normal)
    monkeypatch.setattr(
        kernel_cache, "kernels_are_compiled", lambda normal, **_: normal is not other
    )
    other = not normal
    bmx.Model(text, sleepstudy, family=family).fit_eb()
    assert capfd.readouterr().err == ""
    other = normal
    bmx.Model(text, sleepstudy, family=family).fit_eb()
    assert "Compiling the numerical kernels" in capfd.readouterr().err
