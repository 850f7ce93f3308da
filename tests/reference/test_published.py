"""Full Bayes under the default priors, beside the published REML fits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayesmix as bmx

from .cases import model_of

pytestmark = pytest.mark.compiled

CASES = ["sleepstudy_slopes", "sleepstudy_uncor", "gpa_slope", "pupils_crossed", "nurses_nested"]


def compare(posterior: bmx.Posterior, case: dict[str, Any]) -> None:
    fixed = posterior.fixed_effects()
    theirs = np.asarray([row["estimate"] for row in case["fixed_effects"]])
    # In units of our posterior sd; Monte Carlo error at an ESS of 400 is 0.05.
    distance = (fixed["estimate"].to_numpy() - theirs) / fixed["sd"].to_numpy()
    assert np.abs(distance).max() < 0.15, distance
    for group, rows in case["group_effects_head"].items():
        ours = posterior.group_effects(group, diagnostics=False)
        estimates = ours.set_index(["level", "effect"])["estimate"]
        pairs = [
            (estimates[(row["level"], re.sub(r"\(Intercept\)", "Intercept", name))], value)
            for row in rows
            for name, value in row.items()
            if name not in {"level", "_row"}
        ]
        a, b = np.asarray(pairs).T
        assert np.corrcoef(a, b)[0, 1] > 0.999, group


def test_sleepstudy_agrees_with_lme4(
    sleepstudy_posterior: bmx.Posterior, published: dict[str, Any]
) -> None:
    compare(sleepstudy_posterior, published["sleepstudy_slopes"])
    assert sleepstudy_posterior.diagnostics().divergences == 0
    found = sleepstudy_posterior.variance_components().set_index("effect")
    for row in published["sleepstudy_slopes"]["variance_components"]:
        ours = found.loc[row["effect"]]
        assert ours["sd_lower"] < row["sd"] < ours["sd_upper"]
    assert found.loc["", "sd"] == pytest.approx(25.59, rel=0.05)


@pytest.mark.parametrize("name", CASES)
def test_published_analyses_by_the_fast_engine(
    name: str, published: dict[str, Any], reference_folder: Path
) -> None:
    model = model_of(published[name], reference_folder)
    posterior = model.fit(draws=2000, seed=7, engine="fast", progress=False)
    compare(posterior, published[name])
    assert posterior.diagnostics().ok, posterior.diagnostics()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")  # of limits
@pytest.mark.parametrize("name", CASES)
def test_published_analyses_by_both_engines(
    name: str, published: dict[str, Any], reference_folder: Path
) -> None:
    case = published[name]
    model = model_of(case, reference_folder)
    posterior = model.fit(draws=2000, seed=7, target_accept=0.9, engine="pymc", progress=False)
    compare(posterior, case)
    # PyMC's draws differ from machine to machine, and with them which limits are rough.
    found = posterior.diagnostics()
    assert found.divergences == 0
    assert found.max_r_hat < 1.01
    assert found.min_ess_bulk > 400
    agree(model.fit(draws=2000, seed=8, engine="fast", progress=False), posterior)


def agree(one: bmx.Posterior, other: bmx.Posterior) -> None:
    """Means and standard deviations of two runs within their Monte Carlo errors."""
    for name in ("beta", "sigma", *(f"sd_{g.name}" for g in one.model.design.mu.groups)):
        a, b = (fit.idata["posterior"][name].values.reshape(8000, -1) for fit in (one, other))
        spread = b.std(axis=0)
        # ESS of at least 400 by the diagnostics: an error of 0.05 sd each, 4 of them.
        assert np.abs(a.mean(axis=0) - b.mean(axis=0)).max() < 0.28 * spread.max()
        np.testing.assert_allclose(
            np.quantile(a, [0.1, 0.5, 0.9], axis=0),
            np.quantile(b, [0.1, 0.5, 0.9], axis=0),
            atol=0.3 * spread.max(),
        )
    for group in one.model.design.mu.groups:
        a, b = (fit.group_effects(group.name, diagnostics=False) for fit in (one, other))
        assert (np.abs(a["estimate"] - b["estimate"]) < 0.3 * b["sd"]).all()
        np.testing.assert_allclose(a["sd"], b["sd"], rtol=0.2)
