"""Sizes that no machine has are refused by name, before anything is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix import memory
from bayesmix.errors import ArgumentError, NotSupportedError


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(list("abcdef"), 10)})
    frame["y"] = frame["x"] + rng.normal(size=60)
    frame["n"] = rng.poisson(3, 60)
    return frame


@pytest.fixture(scope="module")
def normal(data: pd.DataFrame) -> bmx.Model:
    return bmx.Model("y ~ x + (1 | g)", data)


@pytest.fixture(scope="module")
def counts(data: pd.DataFrame) -> bmx.Model:
    return bmx.Model("n ~ x + (1 | g)", data, family="poisson")


@pytest.mark.parametrize(
    "asked",
    [
        {"draws": 10**9},
        {"draws": 10**18},
        {"tune": 10**10},
        {"draws": 10**8, "chains": 1000},
        {"draws": 10**9, "group_draws": "all"},
        {"draws": 10**9, "engine": "pymc"},
        {"draws": 10**9, "engine": "pymc", "sampler": "pymc"},
    ],
    ids=str,
)
def test_a_fit_beyond_memory_is_refused_with_its_size(
    asked: dict[str, Any], normal: bmx.Model, counts: bmx.Model
) -> None:
    wanted = r"draws=\d+ and tune=\d+ in chains=\d+, of \d+ numbers each, would take [\d,.]+ GB"
    for model in (normal,) if "group_draws" in asked else (normal, counts):
        with pytest.raises(NotSupportedError, match=wanted):
            model.fit(seed=1, progress=False, **asked)


def test_the_size_is_that_of_the_draws_kept_twice_copied(normal: bmx.Model) -> None:
    # beta 2, sd 1, corr 1, sigma 1, effects 6; 24 of the sampler: 57 numbers a draw.
    with pytest.raises(NotSupportedError, match=r"would take 456,000\.0 GB"):
        normal.fit(draws=10**12, chains=1, tune=20, group_draws="all", progress=False)


@pytest.mark.parametrize("asked", [{"chains": 10**5}, {"cores": 10**5}], ids=str)
def test_numbers_that_need_no_memory_have_bounds(asked: dict[str, int], normal: bmx.Model) -> None:
    [name] = asked
    with pytest.raises(NotSupportedError, match=f"{name}=100000 must be .* at most"):
        normal.fit(progress=False, **asked)


@pytest.mark.parametrize(
    "call",
    [
        lambda post, _eb, _laplace: post.simulate(10**12),
        lambda _post, eb, _laplace: eb.simulate(10**12),
        lambda _post, _eb, laplace: laplace.simulate(10**12),
        lambda _post, eb, _laplace: eb.predict_draws(draws=10**12),
        lambda _post, _eb, laplace: laplace.predict_draws(draws=10**12),
        lambda _post, _eb, laplace: laplace.predict(kind="response", draws=10**12),
        lambda _post, _eb, laplace: laplace.comparisons("x", draws=10**12),
        lambda post, _eb, _laplace: post.prior_predictive(10**12),
        lambda post, _eb, _laplace: post.kfold(2, draws=10**12, progress=False),
        lambda post, _eb, _laplace: post.update(". ~ .", draws=10**12, progress=False),
    ],
)
def test_what_a_fit_is_asked_for_beyond_memory_is_refused_with_its_size(
    call: Callable[..., Any], fits: tuple[Any, ...]
) -> None:
    with pytest.raises(NotSupportedError, match=r"1000000000000.* would take [\d,.]+ GB of memory"):
        call(*fits)


def test_endless_grids_are_refused_without_being_made(fits: tuple[Any, ...]) -> None:
    eb = fits[1]
    with pytest.raises(NotSupportedError, match=r"levels of x more cross .* more than 200,000"):
        eb.marginal_means("x", at={"x": range(10**12)})
    with pytest.raises(NotSupportedError, match="1000000000000 values"):
        eb.predictions(at={"x": range(10**12)})
    with pytest.raises(ArgumentError, match="more than 1000 sizes"):
        bmx.power(eb, "x", n=1, levels={"g": range(1, 10**12)})
    with pytest.raises(NotSupportedError, match=r"levels={'g': 1000000000000} would take"):
        bmx.power(eb, "x", n=1, levels={"g": 10**12})
    with pytest.raises(NotSupportedError, match=r"n=1000000000000 data sets would take"):
        bmx.Scenario("y ~ 1", bmx.design(g=5), {"Intercept": 1, "sigma": 1}).simulate(10**12)


@pytest.fixture(scope="module")
def fits(normal: bmx.Model, counts: bmx.Model) -> tuple[Any, ...]:
    post = normal.fit(draws=500, chains=2, seed=1, progress=False)
    return post, normal.fit_eb(), counts.fit_eb()


def test_what_memory_does_not_hold_now_is_refused(
    fits: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    post = fits[0]
    monkeypatch.setattr(memory, "available_bytes", lambda: 400_000.0)
    for call in (post.posterior_predictive, post.predict_draws, post.log_likelihood, post.loo):
        with pytest.raises(NotSupportedError, match=r"60 rows x 1000 draws would take"):
            call()
    assert len(post.predict()) == 60  # block by block


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="needs POSIX")
def test_what_is_free_is_at_most_what_there_is() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < memory.available_bytes() <= total


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"subject": 10**12}, "subject=1000000000000 would take"),
        ({"day": range(10**12)}, "day= of 1,000,000,000,000 values would take"),
        ({"a": range(10**6), "b": range(10**6)}, "a 1,000,000 x b 1,000,000 = 1,000,000,000,000"),
    ],
)
def test_a_design_that_memory_does_not_hold_is_refused(columns: Any, words: str) -> None:
    with pytest.raises(NotSupportedError, match=words):
        bmx.design(columns)
