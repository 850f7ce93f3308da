"""Diagnostics of one quantity are ArviZ's, whatever its draws look like."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.laws.summaries import diagnose, ess_of_limits


def _chains() -> np.ndarray:
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.normal(size=(4, 300)), axis=1)
    tied = rng.normal(size=(4, 300)).round(1)
    heavy = rng.standard_cauchy((4, 300))
    stuck = rng.normal(size=(4, 300)) + np.array([[0.0], [0.0], [0.0], [5.0]])
    broken = rng.normal(size=(4, 300))
    broken[1, 7] = np.nan
    return np.stack([walk, tied, heavy, stuck, broken], axis=-1)


@pytest.mark.parametrize("n_chains", [1, 2, 4])
@pytest.mark.parametrize("n_draws", [4, 7, 300])
def test_they_are_arvizs_to_the_last_bit(n_chains: int, n_draws: int) -> None:
    from arviz_stats.base import array_stats

    draws = _chains()[:n_chains, :n_draws]
    ours = diagnose(draws)
    sane = draws[..., :4]
    theirs = {
        "ess_bulk": array_stats.ess(sane, chain_axis=0, draw_axis=1, method="bulk"),
        "ess_tail": array_stats.ess(
            sane, chain_axis=0, draw_axis=1, method="tail", prob=(0.05, 0.95)
        ),
        "r_hat": array_stats.rhat(sane, chain_axis=0, draw_axis=1),
    }
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name][:4], values, err_msg=name)
    limits = [
        array_stats.ess(sane, chain_axis=0, draw_axis=1, method="quantile", prob=p)
        for p in (0.025, 0.975)
    ]
    np.testing.assert_array_equal(ess_of_limits(sane), np.fmin(*limits))


def test_draws_that_are_not_all_numbers_have_no_diagnostics() -> None:
    found = diagnose(_chains())
    assert all(np.isnan(found[name][4]) for name in found)


def test_equal_draws_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from bayesmix.laws import arviz_arrays

    draws = np.random.default_rng(8).normal(size=(2, 50, 3))
    first = diagnose(draws)
    monkeypatch.setattr(arviz_arrays, "chain_diagnostics", lambda: None)
    assert {k: v.tolist() for k, v in diagnose(draws.copy()).items()} == {
        k: v.tolist() for k, v in first.items()
    }
