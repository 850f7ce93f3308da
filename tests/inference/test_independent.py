"""Independent draws: the posterior of NUTS, chosen where they are good and refused by name."""

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
from bayesmix.inference import independent
from bayesmix.inference.proposal import Proposal, Quality, fit_proposal, judge

from .alike import HEAVY, check_alike, check_tail, draws_of, tail_of_two_groups, two_groups

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> bmx.Posterior:
    model = bmx.Model(SLEEP, bmx.load_dataset("sleepstudy"))
    return model.fit(seed=1, sampler="independent", progress=False)


def test_they_have_the_posterior_of_nuts(sleep: bmx.Posterior) -> None:
    check_alike(sleep, sleep.model.fit(seed=2, sampler="nuts", progress=False))


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_they_are_the_default(sleep: bmx.Posterior) -> None:
    usual, auto = (
        sleep.model.fit(50, chains=2, seed=4, progress=False, **options)
        for options in ({}, {"sampler": "auto"})
    )
    assert usual.idata.attrs["engine"] == "fast (independent draws)"
    np.testing.assert_array_equal(draws_of(usual)["sigma"], draws_of(auto)["sigma"])


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize(("chains", "draws"), [(1, 50), (8, 20), (1, 1000)])
def test_any_number_of_chains_and_draws(sleep: bmx.Posterior, chains: int, draws: int) -> None:
    post = sleep.model.fit(draws, chains=chains, seed=5, progress=False)
    found = post.diagnostics()
    assert (found.chains, found.draws) == (chains, draws)
    assert "independent draws" in post.idata.attrs["engine"]
    assert np.isnan(found.max_r_hat) == (chains == 1)
    assert found.min_ess_bulk > 0.4 * chains * draws
    sigma = draws_of(post)["sigma"]
    assert len(np.unique(sigma[:, 0])) == chains


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_who_gives_a_step_size_has_nuts(sleep: bmx.Posterior) -> None:
    post = sleep.model.fit(50, chains=1, seed=1, target_accept=0.9, progress=False)
    assert post.idata.attrs["engine"] == "fast (collapsed, nutpie)"
    assert "NUTS, which has a step size for target_accept=0.9" in str(post.summary())
    forced = sleep.model.fit(50, chains=1, seed=1, sampler="nuts", progress=False)
    assert "choice" not in forced.idata.attrs


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_warm_up_is_more_points_and_never_fewer(sleep: bmx.Posterior) -> None:
    few, usual, many = (
        sleep.model.fit(20, chains=2, seed=1, tune=tune, progress=False)
        for tune in (20, None, 1000)
    )
    assert [fit.idata.attrs["tune"] for fit in (few, usual, many)] == [500, 500, 1000]
    np.testing.assert_array_equal(draws_of(few)["sigma"], draws_of(usual)["sigma"])


def test_arviz_reads_them(sleep: bmx.Posterior) -> None:
    import arviz as az

    table = az.summary(sleep.idata, var_names=["beta", "sigma"])
    assert len(table) == 3
    az.plot_trace(sleep.idata, var_names=["sigma"], backend="none")
    az.plot_trace_dist(sleep.idata, var_names=["sigma"], backend="none")
    assert sleep.plot_trace() is not None
    assert sleep.plot_pairs(["sigma", "sd"]) is not None


def test_the_choice_stands_in_the_summary(sleep: bmx.Posterior) -> None:
    assert sleep.idata.attrs["engine"] == "fast (independent draws)"
    text = str(sleep.summary())
    assert "engine fast (independent draws)" in text
    assert "% of the independent proposals accepted, Pareto k" in text
    stats = sleep.idata["sample_stats"]
    assert set(stats.data_vars) == {"acceptance_rate", "lp", "diverging"}
    assert not stats["diverging"].any()
    assert 0.5 < float(stats["acceptance_rate"].mean()) < 1
    assert sleep.diagnostics().ok
    assert sleep.diagnostics().min_ess_bulk > 2000


def test_two_groups_and_a_half_cauchy_prior_have_the_tail_of_quadrature() -> None:
    """In log sd the posterior falls off as exp(-2 log sd), the proposal as a power."""
    post = two_groups().fit(25_000, seed=1, sampler="independent", progress=False)
    check_tail(post, *tail_of_two_groups())


def test_what_only_the_prior_knows_has_its_tail() -> None:
    """Three groups whose errors are 50 times the prior's scale."""
    data = pd.DataFrame({"y": [-30.0, 10.0, 25.0], "g": list("abc"), "se": 50.0})
    priors = {"sd": HEAVY["sd"], "Intercept": bmx.Prior("Normal", mu=0, sigma=30)}
    post = bmx.Model("y ~ 1 + (1 | g)", data, priors=priors, known_se="se").fit(
        25_000, seed=2, sampler="independent", progress=False
    )
    u = np.linspace(-16, 14, 6000)
    tau, y = np.exp(2 * u), data["y"].to_numpy()
    between, of_mean = 2500 + tau, 2500 + tau + 3 * 900
    log_p = -np.log(between) - 0.5 * ((y - y.mean()) ** 2).sum() / between
    log_p += -0.5 * np.log(of_mean) - 0.5 * 3 * y.mean() ** 2 / of_mean + u - np.log1p(tau)
    check_tail(post, u, np.exp(log_p))


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_chains_are_their_own_and_cores_change_nothing(sleep: bmx.Posterior) -> None:
    one, two = (
        sleep.model.fit(50, seed=4, cores=cores, sampler="independent", progress=False)
        for cores in (1, 2)
    )
    for name, values in draws_of(one).items():
        np.testing.assert_array_equal(values, draws_of(two)[name])
    sigma = draws_of(one)["sigma"]
    assert len(np.unique(sigma[:, 0])) == len(sigma)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.usefixtures("one_picture")
def test_too_many_parameters_are_left_to_nuts(rng: np.random.Generator, tmp_path: Path) -> None:
    data = pd.DataFrame(rng.normal(size=(120, 4)), columns=list("yabc"))
    data["g"] = np.arange(120) % 12
    model = bmx.Model("y ~ (a + b + c | g)", data)
    with pytest.raises(NotSupportedError, match=r"11 variance parameters \(at most 8\)"):
        model.fit(20, sampler="independent", progress=False)
    post = model.fit(20, chains=1, seed=1, progress=False)
    post.save(tmp_path / "post.nc")
    reason = "NUTS in place of independent draws: 11 variance parameters (at most 8)"
    for text in (
        str(post.summary()), repr(post), str(bmx.load(tmp_path / "post.nc")),
        post.report(tmp_path / "post.html").read_text(),
    ):  # fmt: skip
        assert reason in text


def test_what_has_no_independent_draws_says_why(sleepstudy: pd.DataFrame) -> None:
    model = bmx.Model(SLEEP, sleepstudy)
    for options, why in (
        ({"engine": "pymc"}, "fast engine"), ({"target_accept": 0.9}, "no step size"),
        ({"prior_only": True}, "no sampler"),
    ):  # fmt: skip
        with pytest.raises(NotSupportedError, match=why):
            model.fit(20, sampler="independent", progress=False, **options)
    slow = sleepstudy.assign(slow=sleepstudy["Reaction"] > 300)
    with pytest.raises(NotSupportedError, match="normal response"):
        bmx.Model("slow ~ (1 | Subject)", slow, family="bernoulli").fit(
            20, sampler="independent", progress=False
        )


def test_a_bad_proposal_is_refused_by_name(
    sleep: bmx.Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bayesmix.inference.proposal.LEAST_ACCEPTED", 0.99)
    with pytest.raises(NotSupportedError, match=r"proposals accepted .* take sampler=.nuts."):
        sleep.model.fit(20, seed=1, sampler="independent", progress=False)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_moments_and_files(sleep: bmx.Posterior, tmp_path: Path) -> None:
    post = sleep.model.fit(
        400, seed=3, sampler="independent", group_draws="moments", progress=False
    )
    a = post.group_effects(diagnostics=False)["estimate"]
    b = sleep.group_effects(diagnostics=False)["estimate"]
    np.testing.assert_allclose(a, b, atol=0.1 * b.std())
    post.save(tmp_path / "post.nc")
    back = bmx.load(tmp_path / "post.nc")
    assert str(back.summary()) == str(post.summary())
    assert back.update(draws=20).idata.attrs["engine"] == post.idata.attrs["engine"]


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
@pytest.mark.parametrize("whose", ["the process", "another thread"])
def test_an_interrupt_returns_the_draws_so_far(
    whose: str, sleep: bmx.Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may hand a signal to any thread, and the one that waits does not wake by it."""
    monkeypatch.setattr(independent, "_STRETCH", 1e-4)
    drawn = threading.Event()
    steps = independent.Chain.steps

    def slow_steps(self: Any, *arguments: Any) -> Any:
        if self.accepted > 200:
            drawn.set()
        return steps(self, *arguments)

    monkeypatch.setattr(independent.Chain, "steps", slow_steps)

    def interrupt() -> None:
        if not drawn.wait(60):
            return
        if whose == "the process":
            os.kill(os.getpid(), signal.SIGINT)
        else:
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    try:
        with pytest.warns(SamplingWarning, match="interrupted"):
            post = sleep.model.fit(
                200_000, chains=2, seed=1, sampler="independent", group_draws="moments",
                progress=False,
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
    assert 0 < post.idata["posterior"].sizes["draw"] < 200_000
    assert np.isfinite(draws_of(post)["beta"]).all()


def test_an_interrupt_before_the_first_draw_is_an_interrupt(
    sleep: bmx.Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(independent, "fit_proposal", interrupted)
    with pytest.raises(KeyboardInterrupt, match="before the first draw"):
        sleep.model.fit(20, seed=1, progress=False)


def test_a_long_run_says_how_far_it_is(
    sleep: bmx.Posterior, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from bayesmix.inference import announce

    monkeypatch.setattr(announce, "_SAY_AFTER", 0.0)
    sleep.model.fit(500, seed=1)
    said = capfd.readouterr().err
    assert "point of the proposal 500 of 500\n" in said
    assert "draw 2,000 of 2,000\n" in said


def test_a_proposal_is_judged_by_its_weights(rng: np.random.Generator) -> None:
    same = judge(np.zeros(1000))
    assert same.accepted == pytest.approx(1.0)
    assert not same.why_not
    # min(1, w'/w) averaged over pairs, the present one by its weight.
    log_w = rng.normal(size=300)
    w = np.exp(log_w) / np.exp(log_w).sum()
    pairs = np.minimum(1.0, w[None] / w[:, None])
    assert judge(log_w).accepted == pytest.approx(float(w @ pairs.mean(axis=1)))
    heavy = judge(rng.standard_exponential(4000) * 0.95)  # weights with a Pareto tail
    assert heavy.pareto_k == pytest.approx(0.95, abs=0.2)
    assert heavy.why_not
    assert "Pareto k of 0.90" in Quality(accepted=0.8, pareto_k=0.9).why_not
    assert judge(np.full(10, -np.inf)).why_not


def test_a_fit_finds_center_and_spread(rng: np.random.Generator) -> None:
    root = np.array([[1.0, 0.0], [0.8, 0.3]])

    def values(X: np.ndarray) -> np.ndarray:
        z = np.linalg.solve(root, (X - [3.0, -1.0]).T)
        return -0.5 * (z**2).sum(axis=0)

    fitted = fit_proposal(values, np.array([2.5, -1.2]), np.eye(2), rng, 1000)
    assert not fitted.quality.why_not
    np.testing.assert_allclose(fitted.proposal.center, [3.0, -1.0], atol=0.1)
    X, log_q = fitted.proposal.points(rng, 20)
    np.testing.assert_allclose(fitted.proposal.log_density(X), log_q, rtol=1e-8)
    assert isinstance(fitted.proposal, Proposal)
