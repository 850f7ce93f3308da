"""NUTS through PyMC: reproducible, interruptible, and it says what it does."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import signal
import threading
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import (
    ConvergenceWarning,
    NotSupportedError,
    PriorError,
    SamplingError,
    SamplingWarning,
)
from bayesmix.inference.draws import keep_complete_draws

pytestmark = pytest.mark.compiled


def fit(model: bmx.Model, **options: Any) -> bmx.Posterior:
    """Fit in a hurry: whether so few draws converge is not the question here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        few = {"draws": 60, "tune": 60, "chains": 2, "progress": False, "engine": "pymc"}
        return model.fit(**{**few, **options})


@pytest.fixture(scope="module")
def first_fit() -> tuple[bmx.Model, float, str]:
    """A small model that has been fitted once: seconds of compiling, and what it said."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), 6)
    y = 3 + rng.normal(size=12)[g] + rng.normal(size=72)
    model = bmx.Model("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": g}))
    with contextlib.redirect_stderr(io.StringIO()) as said:
        post = fit(model, seed=1, progress=True)
    return model, post.idata.attrs["seconds_compile"], said.getvalue()


@pytest.fixture(scope="module")
def small(first_fit: tuple[bmx.Model, float, str]) -> bmx.Model:
    return first_fit[0]


def test_a_seed_makes_the_draws_reproducible(small: bmx.Model) -> None:
    first, second, other = (fit(small, seed=seed) for seed in (3, 3, 4))
    for name in ("beta", "b_g", "sd_g", "sigma"):
        np.testing.assert_array_equal(
            first.idata["posterior"][name], second.idata["posterior"][name]
        )
    assert not np.array_equal(first.idata["posterior"]["beta"], other.idata["posterior"]["beta"])


def test_without_a_seed_one_is_drawn_and_kept(small: bmx.Model) -> None:
    first, second = fit(small), fit(small)
    assert first.idata.attrs["seed"] != second.idata.attrs["seed"]
    again = fit(small, seed=first.idata.attrs["seed"])
    np.testing.assert_array_equal(
        first.idata["posterior"]["beta"], again.idata["posterior"]["beta"]
    )


def test_an_interrupt_returns_the_draws_so_far(small: bmx.Model) -> None:
    import nutpie

    wanted = 2_000_000
    drawing = threading.Event()
    sample = nutpie.sample

    def watch(progress: list[Any]) -> None:
        if all(chain.finished_draws > 500 for chain in progress):
            drawing.set()

    def watched(*args: Any, **kwargs: Any) -> Any:
        return sample(*args, **kwargs, progress_callback=watch, progress_rate=50)

    def interrupt() -> None:
        if drawing.wait(600):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    # A process that a script starts in the background ignores Ctrl-C from birth.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nutpie, "sample", watched)
            with pytest.warns(SamplingWarning, match="interrupted"):
                posterior = fit(small, draws=wanted)
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    sizes = posterior.idata["posterior"].sizes
    assert 0 < sizes["draw"] < wanted
    assert posterior.fixed_effects()["estimate"].notna().all()
    assert posterior.idata.attrs["interrupted"] == 1
    assert "interrupted" in str(posterior)


def test_chains_of_uneven_length_are_cut_to_the_largest_block() -> None:
    draws = np.zeros((4, 100, 2))
    draws[1, 90:] = np.nan
    draws[2, 80:, 1] = np.nan
    draws[3, 3:] = np.nan
    posterior, stats = keep_complete_draws({"b": draws}, {"lp": draws[:, :, 0]})
    assert posterior["b"].shape == (3, 80, 2)
    assert stats["lp"].shape == (3, 80)
    empty, _ = keep_complete_draws(dict.fromkeys("ab", np.full((2, 5), np.nan)), {})
    assert empty["b"].shape[1] == 0


def test_values_that_are_not_finite_are_draws_where_others_are_there() -> None:
    b = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, np.nan]])
    beside = np.array([[np.inf, np.nan, 1.0], [np.nan, -np.inf, np.nan]])
    nowhere = np.full((2, 3, 4), np.nan)
    kept, _ = keep_complete_draws({"b": b, "beside": beside, "nowhere": nowhere}, {})
    np.testing.assert_array_equal(kept["b"], b[:, :2])
    np.testing.assert_array_equal(kept["beside"], beside[:, :2])


def test_an_interrupt_before_the_first_draw_is_an_interrupt(small: bmx.Model) -> None:
    import nutpie
    import pyarrow

    class Trace:
        """Two chains that were stopped in their warm-up."""

        def get_arrow_trace(self) -> tuple[list[Any], list[Any]]:
            draws = {
                name: pyarrow.FixedSizeListArray.from_arrays(np.zeros(3 * size), size)
                for name, size in {"beta": 1, "sd_g": 1, "b_g": 12, "sigma": 1}.items()
            }
            fields = [
                pyarrow.field(name, column.type, metadata={"shape": str(column.type.list_size)})
                for name, column in draws.items()
            ]
            batch = pyarrow.record_batch(list(draws.values()), schema=pyarrow.schema(fields))
            about = pyarrow.record_batch({"tuning": pyarrow.array([True] * 3)})
            return [batch, batch], [about, about]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nutpie, "sample", lambda *_, **__: Trace())
        with pytest.raises(KeyboardInterrupt, match="before the first draw"):
            fit(small)


def test_a_panic_of_the_sampler_is_a_sampling_error(small: bmx.Model) -> None:
    import nutpie

    class PanicException(BaseException):
        """As pyo3 makes it: no Exception."""

    def panic(*_: Any, **__: Any) -> None:
        raise PanicException("poisoned")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nutpie, "sample", panic)
        with pytest.raises(SamplingError, match="poisoned"):
            fit(small)


def test_pymc_s_own_sampler_gives_the_same_variables(small: bmx.Model) -> None:
    ours = fit(small, sampler="nutpie", seed=1)
    theirs = fit(small, sampler="pymc", seed=1, cores=1)
    assert dict(ours.idata["posterior"].sizes) == dict(theirs.idata["posterior"].sizes)
    assert set(ours.idata["posterior"].data_vars) == set(theirs.idata["posterior"].data_vars)
    for stats in (ours.idata["sample_stats"], theirs.idata["sample_stats"]):
        assert {"diverging", "energy", "tree_depth", "step_size"} <= set(stats.data_vars)


def test_a_refit_compiles_nothing(
    first_fit: tuple[bmx.Model, float, str], capfd: pytest.CaptureFixture[str]
) -> None:
    model, seconds, said = first_fit
    again = fit(model, seed=1, progress=True).idata.attrs["seconds_compile"]
    assert seconds > again == 0
    # A run says what it does, and a quiet one nothing.
    each = capfd.readouterr()
    assert ["Compiling the PyMC model" in text for text in (said, each.err)] == [True, False]
    assert all("Sampling 2 chains" in text for text in (said, each.err))
    assert not each.out
    fit(model, seed=1)
    assert capfd.readouterr() == ("", "")


def test_a_plain_user_of_pymc_can_extend_and_sample_the_model(small: bmx.Model) -> None:
    import pymc as pm

    model = bmx.Model("y ~ 1 + (1 | g)", small.design.frame.assign(y=small.y)).pymc_model
    with model:
        pm.Deterministic("icc", model["sd_g"] ** 2 / (model["sd_g"] ** 2 + model["sigma"] ** 2))
        tree = pm.sample(
            draws=20, tune=30, chains=1, nuts_sampler="pymc", progressbar=False, random_seed=1
        )
    assert {"icc", "beta", "b_g"} <= set(tree["posterior"].data_vars)


def test_prior_only_draws_from_the_prior(data: pd.DataFrame) -> None:
    priors = {
        "Intercept": bmx.Prior("Normal", mu=7, sigma=2),
        "sd": bmx.Prior("HalfNormal", sigma=3),
        "sigma": bmx.Prior("Gamma", alpha=4, beta=2),
    }
    model = bmx.Model("y ~ x + (x | g)", data, priors=priors)
    draws = model.fit(draws=2000, chains=2, seed=1, prior_only=True, progress=False)
    posterior = draws.idata["posterior"]
    assert draws.is_prior
    assert dict(posterior.sizes)["chain"] == 2
    n = 4000
    intercept = posterior["beta"].sel(fixed_effect="Intercept").values
    assert abs(intercept.mean() - 7) < 4 * 2 / np.sqrt(n)
    assert posterior["sigma"].values.mean() == pytest.approx(2, abs=4 * 1 / np.sqrt(n))
    sd = posterior["sd_g"].values.reshape(-1, 2)
    assert sd.mean(axis=0) == pytest.approx(3 * np.sqrt(2 / np.pi), abs=0.15)
    rho = posterior["corr_g"].values[:, :, 0, 1]
    assert abs(rho.mean()) < 4 * 0.45 / np.sqrt(n)
    assert rho.std() == pytest.approx(np.sqrt(1 / 5), abs=0.02)
    assert "prior" in str(draws)


def test_prior_only_refuses_what_cannot_be_drawn(small: bmx.Model) -> None:
    model = bmx.Model(
        "y ~ 1 + (1 | g)",
        small.design.frame,
        priors={"Intercept": bmx.Prior("Flat")},
    )
    with pytest.raises(PriorError, match="prior of Intercept is flat"):
        model.fit(prior_only=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "draws=0"),
        ({"draws": 10.5}, "draws=10.5"),
        ({"tune": 0}, "tune=0 must be a whole number of at least 20"),
        ({"chains": -1}, "chains=-1"),
        ({"cores": 0}, "cores=0"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 2**64}, "seed=18446744073709551616 must be a whole number of at most"),
        ({"seed": "abc"}, "seed='abc'"),
        ({"target_accept": 1.0}, "target_accept=1.0"),
        ({"engine": "stan"}, "engine='stan' is not one of 'auto'"),
        ({"group_draws": "none"}, "group_draws='none' is not one of 'auto'"),
        ({"sampler": "jags"}, "sampler='jags'"),
    ],
)
def test_arguments_are_checked_before_anything_is_compiled(
    small: bmx.Model, options: dict[str, Any], message: str
) -> None:
    start = time.perf_counter()
    with pytest.raises(NotSupportedError, match=message):
        small.fit(**options)
    assert time.perf_counter() - start < 60


def test_problems_are_reported_in_one_warning_that_says_what_to_do(small: bmx.Model) -> None:
    with pytest.warns(ConvergenceWarning, match="raise draws") as caught:
        posterior = small.fit(draws=30, tune=30, chains=2, seed=1, engine="pymc", progress=False)
    assert len(caught) == 1
    assert not posterior.diagnostics().ok


@pytest.fixture(scope="module")
def extended(small: bmx.Model) -> bmx.Posterior:
    """A fit whose intercept was measured once more, with a parameter that the formula lacks."""
    import pymc as pm

    model = bmx.Model("y ~ 1 + (1 | g)", small.design.frame.assign(y=small.y))
    with model.pymc_model as opened:
        bias = pm.Normal("bias", 2.0, 0.001)
        pm.Normal("measured", opened["beta"][0] + bias, 0.01, observed=7.0)
    return fit(model, engine="auto", seed=1, tune=300, draws=200)


def test_what_a_user_adds_to_the_pymc_model_is_fitted(extended: bmx.Posterior) -> None:
    assert extended.idata.attrs["engine"] == "pymc (nutpie)"
    # The mean of y is 3 with an error of 0.3; the added measurement, 7 - 2, has one of 0.01.
    row = extended.fixed_effects().iloc[0]
    assert row["estimate"] == pytest.approx(5.0, abs=0.02)
    assert row["sd"] == pytest.approx(0.01, rel=0.3)
    assert float(extended.idata["posterior"]["bias"].mean()) == pytest.approx(2.0, abs=0.001)
    words = "the variable `bias` is new, the observed variable `measured` is new"
    assert words in extended.summary().lines[-2]
    assert words in repr(extended.model)


def test_what_goes_by_the_formula_refuses_a_changed_model(
    extended: bmx.Posterior, tmp_path: Any
) -> None:
    model = extended.model
    for way in (lambda: model.fit(engine="fast"), model.fit_eb, model.update):
        with pytest.raises(NotSupportedError, match=r"changed by hand .*`bias` is new"):
            way()
    extended.save(tmp_path / "changed.nc")
    loaded = bmx.load(tmp_path / "changed.nc")
    assert "`bias` is new" in str(loaded.summary())
    for post in (extended, loaded):
        for ask in (
            lambda p: p.update(". ~ . - 1"), lambda p: p.kfold(2), lambda p: p.loo(by="g"),
            lambda p: p.prior_predictive(10), lambda p: p.log_prior(),
            lambda p: p.prior_sensitivity(), lambda p: p.plot_prior_posterior(),
        ):  # fmt: skip
            with pytest.raises(NotSupportedError, match="goes by what the formula"):
                ask(post)
        assert post.hypothesis("Intercept = 0").table["note"][0].startswith("no ratio")
        assert np.isfinite(post.loo().elpd)  # the rows have the likelihood they had


def test_changes_of_the_pymc_model_are_named(small: bmx.Model) -> None:
    import pymc as pm

    def fresh() -> bmx.Model:
        return bmx.Model("y ~ 1 + (1 | g)", small.design.frame.assign(y=small.y))

    model = fresh()
    assert not model.pymc_changes
    model.pymc_model  # noqa: B018
    assert not model.pymc_changes
    assert not copy.deepcopy(model).pymc_changes
    with model.pymc_model:
        pm.set_data({"y_obs_data": model.y.copy()})
    assert not model.pymc_changes  # the same numbers
    with model.pymc_model as opened:
        pm.Potential("p", -(opened["sigma"] ** 2))
    assert model.pymc_changes.words == "the potential `p` is new"
    with pytest.raises(NotSupportedError, match=r"`p`.*not be drawn from"):
        model.fit(prior_only=True, progress=False)
    del model.pymc_model
    assert not model.pymc_changes
    model.pymc_model.potentials.append(-(model.pymc_model["sigma"] ** 2))
    assert "the potential `number 1` is new" in model.pymc_changes.words
    del model.pymc_model
    other = fresh()
    other.pymc_model = pm.do(model.pymc_model, {"sigma": 1.0})
    assert "`sigma`" in other.pymc_changes.words
    tighter = bmx.Model("y ~ 1 + (1 | g)", small.design.frame.assign(y=small.y),
                        priors={"sigma": bmx.Prior("HalfNormal", sigma=0.1)})  # fmt: skip
    other.pymc_model = tighter.pymc_model
    assert other.pymc_changes.words == "the variable `sigma` is another"
    data = fresh()
    with data.pymc_model:
        pm.set_data({"y_obs_data": data.y + 1})
    assert data.pymc_changes.words == "the data `y_obs_data` is another"
    assert data.pymc_changes.of_rows


def test_a_pymc_model_without_our_variables_is_refused_by_name(small: bmx.Model) -> None:
    import pymc as pm

    model = bmx.Model("y ~ 1 + (1 | g)", small.design.frame.assign(y=small.y))
    with pm.Model() as another:
        pm.Normal("beta", shape=1)
    model.pymc_model = another
    with pytest.raises(NotSupportedError, match=r"no variable `sd_g`, `b_g`, `sigma`"):
        model.fit(progress=False)
    model.pymc_model = "nonsense"
    with pytest.raises(NotSupportedError, match=r"is a str, not a pm\.Model"):
        model.fit(progress=False)


def test_an_added_variable_of_whole_numbers_is_refused_by_name(small: bmx.Model) -> None:
    import pymc as pm

    model = bmx.Model("y ~ 1 + (1 | g)", small.design.frame.assign(y=small.y))
    with model.pymc_model:
        pm.Poisson("k", 3)
    with pytest.raises(NotSupportedError, match=r'`k` of .* whole numbers.*sampler="pymc"'):
        model.fit(progress=False)


@pytest.mark.parametrize("name", ["draw", "chain"])
def test_an_added_variable_called_like_a_dimension_is_refused(name: str) -> None:
    import pymc as pm

    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.normal(size=24), "g": np.repeat(np.arange(6), 4)})
    model = bmx.Model("y ~ 1 + (1 | g)", data)
    with model.pymc_model as changed:
        pm.Deterministic(name, 2 * changed["sigma"])
    with pytest.raises(NotSupportedError, match=f"`{name}`.*give it another name"):
        fit(model)


def test_a_model_that_changes_is_compiled_anew(small: bmx.Model) -> None:
    """The last test, for it leaves `small` compiled for other data."""
    import pymc as pm

    before, y = fit(small, seed=1).idata["posterior"]["beta"].mean(), small.y.copy()
    with small.pymc_model:
        pm.set_data({"y_obs_data": y + 2})
    try:
        after = fit(small, seed=1)
    finally:
        with small.pymc_model:
            pm.set_data({"y_obs_data": y})
    assert after.idata.attrs["seconds_compile"] > 0
    assert float(after.idata["posterior"]["beta"].mean() - before) == pytest.approx(2, abs=0.7)
