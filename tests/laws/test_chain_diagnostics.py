"""Diagnostics of many quantities at once are ArviZ's, whatever the draws look like."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.laws import chain_diagnostics
from bayesmix.laws.summaries import diagnose, ess_of_limits


def _autoregressive(phi: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    values = rng.normal(size=shape)
    for t in range(1, shape[1]):
        values[:, t] += phi * values[:, t - 1]
    return values


def _quantities(n_chains: int, n_draws: int) -> dict[str, np.ndarray]:
    rng, shape = np.random.default_rng(3), (n_chains, n_draws)
    white = rng.normal(size=shape)
    return {
        **{f"phi {phi}": _autoregressive(phi, shape, rng) for phi in (-0.9, -0.5, 0.3, 0.8, 0.99)},
        "walk": np.cumsum(white, axis=1),
        "tied": white.round(1),
        "two values": white.round(0).clip(0, 1),
        "repeated": np.repeat(white, 3, axis=1)[:, :n_draws],
        "heavy": rng.standard_cauchy(shape),
        "stuck": white + 5.0 * (np.arange(n_chains) == 3)[:, None],
        "tiny": 1e-200 * white,
        "infinite": np.where(np.arange(n_draws) == 1, np.inf, white),
    }


@pytest.mark.parametrize("n_chains", [1, 2, 4])
@pytest.mark.parametrize("n_draws", [4, 5, 6, 7, 8, 13, 50, 301, 1000])
def test_they_are_arvizs(n_chains: int, n_draws: int) -> None:
    from arviz_stats.base import array_stats

    quantities = _quantities(n_chains, n_draws)
    draws = np.stack(list(quantities.values()), axis=-1)
    ours = diagnose(draws) | {"limits": ess_of_limits(draws)}
    axes = {"chain_axis": 0, "draw_axis": 1}
    for i, (name, own) in enumerate(quantities.items()):
        with np.errstate(all="ignore"):
            theirs = {
                "ess_bulk": array_stats.ess(own, method="bulk", **axes),
                "ess_tail": array_stats.ess(own, method="tail", prob=(0.05, 0.95), **axes),
                "r_hat": array_stats.rhat(own, **axes),
                "limits": np.fmin(*(
                    array_stats.ess(own, method="quantile", prob=p, **axes)
                    for p in (0.025, 0.975)
                )),
            }  # fmt: skip
        for column, value in theirs.items():
            np.testing.assert_allclose(
                ours[column][i], value, rtol=1e-10, err_msg=f"{column} of {name}"
            )


def test_draws_that_are_not_all_numbers_have_no_diagnostics() -> None:
    draws = np.random.default_rng(1).normal(size=(4, 300, 2))
    draws[1, 7, 1] = np.nan
    found = diagnose(draws)
    assert all(np.isnan(found[name][1]) and np.isfinite(found[name][0]) for name in found)


def test_many_quantities_are_taken_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(8).normal(size=(2, 50, 7)).cumsum(axis=1)
    draws[0, 3, 4] = np.nan
    whole = diagnose(draws)
    monkeypatch.setattr(chain_diagnostics, "_TOGETHER", 250)
    for name, values in diagnose(draws).items():
        np.testing.assert_array_equal(values, whole[name])
