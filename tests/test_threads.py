"""One thread of BLAS, for a while."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import bayesmix as bmx
from bayesmix.inference import empirical
from bayesmix.inference.search import Search
from bayesmix.laws import intervals, mode
from bayesmix.results.predict import prediction
from bayesmix.threads import one_blas_thread, result_of


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
@pytest.mark.parametrize(("columns", "threads"), [(2500, 1), (1, 2)])
def test_the_size_of_a_root_decides_and_not_a_clock(
    monkeypatch: pytest.MonkeyPatch, columns: int, threads: int
) -> None:
    """Two fits agree to the last bit, whatever else the machine is doing."""
    monkeypatch.setattr(empirical, "MANY_COLUMNS", columns)
    spy = Spy(monkeypatch).on(Search, "value")
    rng = np.random.default_rng(2)
    data = bmx.load_dataset("sleepstudy")
    data["machine"] = rng.choice(list("abcdefgh"), len(data))
    model = bmx.Model("Reaction ~ Days + (1 | Subject) + (1 | machine)", data)
    first, second = model.fit_eb(), model.fit_eb()
    assert spy.seen
    half = len(spy.seen) // 2
    assert spy.seen[:half] == spy.seen[half:]
    assert np.median([max(seen) for seen in spy.seen]) == threads
    assert first.loglik == second.loglik


def test_an_interrupt_is_heard_that_another_thread_was_handed() -> None:
    def interrupted_work() -> None:
        time.sleep(0.3)  # by then it is waited for
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        over.wait(30)

    over = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(interrupted_work)
            with pytest.raises(KeyboardInterrupt):
                result_of(work)
            assert not work.done()
            over.set()
    finally:
        signal.signal(signal.SIGINT, before)


def test_results_and_errors_of_work_are_its_own() -> None:
    def late() -> None:
        time.sleep(0.3)
        raise TimeoutError("of the work")

    with ThreadPoolExecutor(1) as pool:
        assert result_of(pool.submit(lambda: 3)) == 3
        with pytest.raises(TimeoutError, match="of the work"):
            result_of(pool.submit(late))
