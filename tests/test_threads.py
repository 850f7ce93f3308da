"""One thread of BLAS, for a while."""

from __future__ import annotations

from threadpoolctl import threadpool_info

import bayesmix as bmx
from bayesmix.inference import empirical
from bayesmix.threads import one_blas_thread


def _threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_every_library_has_one_thread_and_its_own_again() -> None:
    before = _threads()
    with one_blas_thread():
        assert _threads() == {1}
    assert _threads() == before


def test_reml_of_a_small_model_is_searched_on_one_thread(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    seen = []
    inner = empirical._maximise
    monkeypatch.setattr(
        empirical, "_maximise", lambda *rest: (seen.append(_threads()), inner(*rest))[1]
    )
    bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy")).fit_eb()
    assert seen == [{1}]
