"""Compact letters, and arrows that compare."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.results.means.arrows import arrow_lengths, contradicts
from bayesmix.results.means.letters import compact_letters


@pytest.mark.parametrize("seed", range(8))
def test_means_share_a_letter_if_and_only_if_they_are_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    K = 7
    estimate = rng.normal(size=K)
    different = rng.random((K, K)) < 0.4
    different = np.triu(different, 1) | np.triu(different, 1).T
    letters = compact_letters(estimate, different)
    for i in range(K):
        for j in range(K):
            shared = set(letters[i]) & set(letters[j])
            assert bool(shared) == (i == j or not different[i, j])
    assert "a" in letters[int(np.argmax(estimate))]


def test_letters_of_a_line_of_means() -> None:
    estimate = np.array([1.0, 2.0, np.nan, 3.0, 9.0])
    different = np.abs(np.subtract.outer(estimate, estimate)) > 1.5
    assert compact_letters(estimate, different) == ["c", "bc", "", "b", "a"]
    assert compact_letters(np.array([np.nan]), np.zeros((1, 1), dtype=bool)) == [""]


def test_arrows_of_equally_sure_means_overlap_where_they_are_alike() -> None:
    estimate = np.array([0.0, 1.0, 1.2, 3.0, np.nan])
    half = np.full((5, 5), 1.1)
    left, right = arrow_lengths(estimate, half)
    different = np.abs(np.subtract.outer(estimate, estimate)) > 1.1
    assert not contradicts(estimate, left, right, different)
    assert np.isnan(left[0])  # nothing is smaller
    assert np.isnan(right[3])
    assert contradicts(estimate, left * 4, right * 4, different)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.SeparationWarning")
def test_a_mean_that_ran_away_shares_no_letter() -> None:
    """Every count of c is zero: its interval is not known, and so neither what it differs from."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"f": np.repeat(list("abc"), 60), "g": np.arange(180) % 9})
    data["n"] = rng.poisson(np.where(data["f"] == "b", 6.0, 1.0)) * (data["f"] != "c")
    fit = bmx.Model("n ~ f + (1 | g)", data, family="poisson").fit_eb()
    assert fit.marginal_means("f").letters()["letters"].tolist() == ["b", "a", ""]
