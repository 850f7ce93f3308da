"""Posteriors are calibrated: true parameters have uniform ranks among the draws."""

from __future__ import annotations

import json

import numpy as np
import pytest

from .calibration import (
    FAMILIES,
    KEPT,
    KINDS,
    POOR,
    POOR_NORMAL,
    STRUCTURED,
    histogram,
    kind_ranks,
    p_value,
    poor_ranks,
    ranks,
    structured_ranks,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_histograms_that_are_kept_are_flat(family: str) -> None:
    """Ranks in 500 simulations are uniform; 13 parameters in all, hence the small level."""
    kept = json.loads(KEPT.read_text())[family]
    assert {"Intercept", "x", "sd", "b"} <= set(kept)
    for name, counts in kept.items():
        assert sum(counts) == 500
        assert p_value(np.asarray(counts)) > 1e-3, name


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_are_uniform(family: str) -> None:
    for name, of_name in ranks(family, 200, 5).items():
        assert p_value(histogram(of_name)) > 1e-3, name
        # Too wide or too narrow posteriors show in the middle half of the ranks.
        inside = ((of_name >= 25) & (of_name < 75)).mean()
        assert abs(inside - 0.5) < 4 * np.sqrt(0.25 / 200), name


@pytest.mark.slow
@pytest.mark.parametrize("word", STRUCTURED)
def test_ranks_of_a_structures_parameters_are_uniform(word: str) -> None:
    for name, of_name in structured_ranks(word, 160, 7).items():
        counts = np.bincount(of_name // 20, minlength=5)
        assert p_value(counts) > 1e-3, name
        inside = ((of_name >= 25) & (of_name < 75)).mean()
        assert abs(inside - 0.5) < 4 * np.sqrt(0.25 / 160), name


@pytest.mark.slow
@pytest.mark.parametrize("case", POOR_NORMAL)
def test_ranks_are_uniform_where_the_data_say_little(case: str) -> None:
    found, independent = poor_ranks(case, 160, 11)
    assert independent > 0.5
    for name, of_name in found.items():
        assert p_value(np.bincount(of_name // 20, minlength=5)) > 1e-3, name
        inside = ((of_name >= 25) & (of_name < 75)).mean()
        assert abs(inside - 0.5) < 4 * np.sqrt(0.25 / 160), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*POOR, *KINDS])
def test_data_poor_models_and_other_kinds_are_calibrated_and_hardly_diverge(kind: str) -> None:
    n = 100
    ranks_of, n_diverged = kind_ranks(kind, n, 11)
    assert n_diverged <= 2
    for name, of_name in ranks_of.items():
        assert p_value(np.bincount(of_name // 20, minlength=5)) > 1e-3, name
        inside = ((of_name >= 25) & (of_name < 75)).mean()
        assert abs(inside - 0.5) < 4 * np.sqrt(0.25 / n), name
