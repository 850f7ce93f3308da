"""Ctrl-C before the first draw that is kept is an interrupt, and nothing else."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.inference.draws import keep_complete_draws


@pytest.mark.parametrize("family", ["gaussian", "bernoulli"])
def test_an_interrupt_during_warm_up_is_an_interrupt(family: str, sleepstudy: pd.DataFrame) -> None:
    import nutpie

    warming = threading.Event()
    sample = nutpie.sample

    def watch(progress: list[Any]) -> None:
        if all(chain.finished_draws > 50 for chain in progress):
            warming.set()

    def watched(*args: Any, **kwargs: Any) -> Any:
        return sample(*args, **kwargs, progress_callback=watch, progress_rate=20)

    def interrupt() -> None:
        if warming.wait(600):
            os.kill(os.getpid(), signal.SIGINT)

    data = sleepstudy.assign(slow=sleepstudy["Reaction"] > 300)
    response = "Reaction" if family == "gaussian" else "slow"
    model = bmx.Model(f"{response} ~ Days + (1 | Subject)", data, family=family)
    thread = threading.Thread(target=interrupt)
    thread.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nutpie, "sample", watched)
            with pytest.raises(KeyboardInterrupt, match="before the first draw"):
                model.fit(
                    draws=10, tune=1_000_000, chains=2, seed=1, sampler="nuts", progress=False
                )
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()


@pytest.mark.parametrize("shape", [(2, 0), (0, 0), (2, 0, 3, 1), (0, 5, 3), (2, 5, 3)])
def test_no_draw_at_all_is_an_empty_table(shape: tuple[int, ...]) -> None:
    nothing = np.full(shape, np.nan)
    posterior, stats = keep_complete_draws({"b": nothing}, {"lp": nothing})
    assert posterior["b"].shape[:2] in {(1, 0), (0, 0)}
    assert posterior["b"].shape == stats["lp"].shape


def test_a_variable_without_numbers_does_not_count() -> None:
    posterior, _ = keep_complete_draws({"b": np.zeros((2, 5)), "none": np.zeros((2, 5, 0))}, {})
    assert posterior["none"].shape == (2, 5, 0)
