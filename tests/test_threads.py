"""One thread of BLAS, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import bayesmix as bmx
from bayesmix.gaussian import density
from bayesmix.inference import empirical
from bayesmix.laws import intervals, mode
from bayesmix.results.predict import prediction
from bayesmix.threads import Pace, one_blas_thread


def _threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def two_threads() -> Iterator[None]:
    """A process whose BLAS has two threads, whatever the environment says."""
    with threadpool_limits(2, user_api="blas"):
        assert 2 in _threads()
        yield


class Spy:
    """Notes how many threads BLAS has whenever a function is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch, self.seen = monkeypatch, list[set[int]]()

    def on(self, where: Any, name: str) -> Spy:
        inner: Callable[..., Any] = getattr(where, name)

        def noted(*rest: Any, **more: Any) -> Any:
            self.seen.append(_threads())
            return inner(*rest, **more)

        self._monkeypatch.setattr(where, name, noted)
        return self


def _sleep() -> bmx.Model:
    return bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))


@pytest.mark.usefixtures("two_threads")
def test_every_library_has_one_thread_and_its_own_again() -> None:
    before = _threads()
    with one_blas_thread():
        assert _threads() == {1}
    assert _threads() == before


@pytest.mark.usefixtures("two_threads")
def test_reml_of_a_small_model_is_searched_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch).on(empirical, "_maximise").on(mode, "conditional_moments")
    _sleep().fit_eb()
    assert spy.seen == [{1}, {1}]
    assert 2 in _threads()


@pytest.mark.usefixtures("two_threads")
def test_profiles_and_standard_errors_are_taken_on_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit = _sleep().fit_eb()
    profiles = Spy(monkeypatch).on(intervals, "profile_theta").on(intervals, "profile_coefficient")
    fit.variance_components(ci_method="profile")
    fit.fixed_effects(ci_method="profile")
    curvature = Spy(monkeypatch).on(intervals, "observed_covariance")
    fit.variance_components(ci_method="wald")
    for spy in (profiles, curvature):
        assert spy.seen
        assert all(seen == {1} for seen in spy.seen)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("method", ["predict", "simulate", "residuals"])
def test_predictions_are_made_on_one_thread(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    fit = _sleep().fit_eb()
    inside = {"predict": "summaries", "simulate": "replicates", "residuals": "residuals"}[method]
    spy = Spy(monkeypatch).on(type(fit._law), inside)
    getattr(fit, method)()
    assert spy.seen == [{1}]
    assert prediction.Predicts in type(fit).__mro__


@pytest.mark.usefixtures("two_threads")
def test_the_way_that_takes_less_time_is_taken_and_the_other_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("bayesmix.threads.time.perf_counter", lambda: clock[0])

    def run(pace: Pace, *, alone: float, together: float) -> bool:
        def work() -> bool:
            threaded = 2 in _threads()
            clock[0] += together if threaded else alone
            return threaded

        return pace.run(work)

    busy = Pace()
    taken = [run(busy, alone=1.0, together=6.0) for _ in range(45)]
    assert taken == [True, False, *[False] * 38, True, False, *[False] * 3]
    quiet = Pace()
    taken = [run(quiet, alone=1.0, together=0.6) for _ in range(10)]
    assert taken == [True, False, *[True] * 8]


@pytest.mark.usefixtures("two_threads")
def test_a_large_root_is_factored_both_ways_to_the_same_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(density, "MANY_COLUMNS", 1)
    spy = Spy(monkeypatch).on(density, "criterion")
    rng = np.random.default_rng(2)
    data = bmx.load_dataset("sleepstudy")
    data["machine"] = rng.choice(list("abcdefgh"), len(data))
    fit = bmx.Model("Reaction ~ Days + (1 | Subject) + (1 | machine)", data).fit_eb()
    assert {1} in spy.seen
    monkeypatch.setattr(density, "MANY_COLUMNS", 600)
    again = bmx.Model("Reaction ~ Days + (1 | Subject) + (1 | machine)", data).fit_eb()
    assert fit.loglik == pytest.approx(again.loglik, rel=1e-10)
