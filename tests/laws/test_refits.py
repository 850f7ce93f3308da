"""Searches from many responses in compiled code, beside those of fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.gaussian.coordinates import correlation_matrices, unpack_theta
from bayesmix.gaussian.patterns import sum_responses
from bayesmix.inference.empirical import maximise
from bayesmix.laws.normal import NormalLaw
from bayesmix.laws.refits import Refits
from bayesmix.laws.resampled import resampled

N_RESPONSES = 8

# formula, other arguments of Model; what the rows' own effects have as standard deviations
MODELS: dict[str, tuple[str, dict[str, Any], float]] = {
    "no groups": ("y ~ x", {}, 1.0),
    "intercepts": ("y ~ x + (1 | g)", {}, 1.0),
    "no variance": ("y ~ x + (1 | g)", {}, 0.0),
    "slopes": ("y ~ x + (x | g)", {}, 1.0),
    "slopes without variance": ("y ~ x + (x | g)", {}, 0.0),
    "far from zero": ("y ~ year + (year | g)", {}, 0.3),
    "three effects": ("y ~ x + z + (x + z | g)", {}, 0.5),
    "shared patterns": ("y ~ t + (t + I(t**2) | g)", {}, 0.5),
    "uncorrelated": ("y ~ x + (x + z || g)", {}, 0.3),
    "nested": ("y ~ x + (1 | g/h)", {}, 0.5),
    "crossed": ("y ~ x + (x | g) + (1 | h)", {}, 0.4),
    "crossed without variance": ("y ~ x + (1 | g) + (1 | h)", {}, 0.0),
    "serial": ("y ~ x + ar1(t | g)", {}, 0.8),
    "compound": ("y ~ x + cs(0 + f | g)", {}, 0.5),
    "smooth": ("y ~ s(x, k=6) + (1 | g)", {}, 0.5),
    "weights": ("y ~ x + (1 | g)", {"weights": "w"}, 0.3),
    "known errors": ("y ~ x + (1 | g)", {"known_se": "w"}, 0.3),
}


def rows(spread: float) -> pd.DataFrame:
    rng = np.random.default_rng(14)
    g, t = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    x, effects = rng.normal(size=96), spread * rng.normal(size=(3, 12))
    return pd.DataFrame(
        {
            "g": g, "t": t, "h": rng.integers(0, 5, 96), "f": rng.choice(["a", "b", "c"], 96),
            "x": x, "z": rng.normal(size=96), "year": 2000 + t, "w": rng.uniform(0.5, 2, 96),
            "y": 3 + x + effects[0, g] + effects[1, g] * x + effects[2, g] * t / 8
            + rng.normal(size=96),
        }
    )  # fmt: skip


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", MODELS)
def test_searches_end_where_those_of_fits_end(name: str, method: str) -> None:
    formula, options, spread = MODELS[name]
    law = bmx.Model(formula, rows(spread), **options).fit_eb(method=method)._law
    refits = Refits(law)
    Y = resampled(law, "parametric", N_RESPONSES, np.random.default_rng(3))
    products, yy = refits.products(Y)
    own, theirs = refits.equations(), refits.equations()
    q = law.problem.equations.q
    first = np.cumsum(q)[:-1]
    found = refits.estimates(own, products, yy)
    for k in range(N_RESPONSES):
        theirs.floats[refits.positions], theirs.yy[0] = products[k], yy[k]
        sum_responses(theirs)
        best = maximise(replace(law.problem, equations=theirs), method)
        assert found.converged[k] or not best.converged
        # Zero is taken for a variance that is no better by more than that. Three effects that
        # are all but dependent have several ends, and neither search looks at each.
        room = 1e-2 if name == "shared patterns" else 2e-7 * (1 + abs(best.criterion))
        assert found.values[k] <= best.criterion + room
        if abs(found.values[k] - best.criterion) > 1e-6:
            continue
        unit = np.exp(np.append(refits.unit, 0.0))[refits.coordinates.effect_sd]
        (sd, C), (wanted, D) = (unpack_theta(refits.coordinates, x) for x in (found.X[k], best.x))
        mine, theirs_sd = sd[:-1] / unit, wanted[:-1] / unit  # endless where sigma goes to zero
        np.testing.assert_allclose(mine / (1 + mine), theirs_sd / (1 + theirs_sd), atol=2e-3)
        if not len(q):
            continue
        pairs = zip(
            correlation_matrices(refits.coordinates, C),
            correlation_matrices(refits.coordinates, D), np.split(best.at_zero, first), strict=True,
        )  # fmt: skip
        for R, wanted_R, zero in pairs:
            if not zero.any():
                np.testing.assert_allclose(R, wanted_R, atol=5e-3)


@pytest.mark.parametrize("name", ["slopes", "serial", "nested", "known errors"])
def test_what_is_made_of_a_search_is_a_fit(name: str) -> None:
    formula, options, spread = MODELS[name]
    model = bmx.Model(formula, rows(spread), **options)
    law = model.fit_eb()._law
    Y = resampled(law, "parametric", 3, np.random.default_rng(5))
    worker = Refits(law).refitting(Y).worker(range(3))
    for k in range(3):
        mine = worker.fit(k, None)
        theirs = NormalLaw(model.with_parts(y=Y[:, k].copy()), "reml")
        assert mine.deviance == pytest.approx(theirs.deviance, abs=1e-6)
        np.testing.assert_allclose(mine.beta, theirs.conditional.beta, rtol=1e-4, atol=1e-4)
        assert mine.sigma == pytest.approx(theirs.optimum.sigma, rel=1e-4)
        for group, sd in theirs.by_group()[0].items():
            np.testing.assert_allclose(mine.sd[group], sd, rtol=2e-3, atol=2e-3)
        for group, values in theirs.structure_at(*theirs.absolute).items():
            for parameter, value in values.items():
                assert mine.structure[group][parameter] == pytest.approx(float(value), abs=5e-3)


def test_a_search_that_does_not_converge_is_made_again(
    sleepstudy: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = bmx.Model("Reaction ~ Days + (Days | Subject)", sleepstudy).fit_eb()
    refits = Refits(fit._law)
    Y = resampled(fit._law, "parametric", 4, np.random.default_rng(3))
    products, yy = refits.products(Y)
    wanted = refits.estimates(refits.equations(), products, yy)

    def gives_up(*given: Any) -> None:
        given[-1][:] = 0
        given[-4][:] = np.nan

    monkeypatch.setattr("bayesmix.laws.refits.search_many", gives_up)
    refits.centre = None
    found = refits.estimates(refits.equations(), products, yy)
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-7)
    np.testing.assert_allclose(found.variances, wanted.variances, rtol=1e-4)
    assert found.converged.all()
