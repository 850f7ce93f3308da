"""Whatever a user is given can be copied, copied in depth and pickled."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import NotSupportedError

QUICK = {"draws": 60, "tune": 60, "chains": 2, "seed": 1, "progress": False}
TERM = "y ~ x + (1 | g)"
HOW: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda made: pickle.loads(pickle.dumps(made)),  # noqa: S301
}


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(10), 6)
    data = pd.DataFrame({"g": [f"g{k}" for k in g], "t": np.tile(np.arange(6), 10)})
    data["x"], data["o"] = rng.normal(size=60), rng.choice(list("abc"), 60)
    data["y"] = data["x"] + rng.normal(size=10)[g] + rng.normal(size=60)
    data["k"] = rng.poisson(np.exp(0.3 * data["x"]))
    return data


def eb(formula: str | list[str] = TERM, **more: Any) -> bmx.EmpiricalBayes:
    return bmx.Model(formula, rows(), **more).fit_eb()


def streamed(tmp_path: Path) -> bmx.Model:
    path = tmp_path / "rows.parquet"
    rows().to_parquet(path)
    return bmx.Model(TERM, path)


def post(formula: str = TERM, **more: Any) -> bmx.Posterior:
    return bmx.Model(formula, rows(), **more).fit(**QUICK)


def scenario() -> bmx.Scenario:
    frame = rows()[["g", "x"]]
    return bmx.Scenario(TERM, frame, {"Intercept": 0, "x": 0.5, "sd(g)": 1.0, "sigma": 1.0})


def pedigree() -> pd.DataFrame:
    return pd.DataFrame(
        {"animal": list("abc"), "sire": [None, None, "a"], "dam": [None, None, "b"]}
    )


MADE: dict[str, Callable[[Path], Any]] = {
    "Model": lambda _: bmx.Model(TERM, rows()),
    "streamed Model": streamed,
    "EmpiricalBayes": lambda _: eb(),
    "map": lambda _: bmx.Model(TERM, rows()).fit_eb("map"),
    "streamed EmpiricalBayes": lambda path: streamed(path).fit_eb(),
    "LaplaceFit": lambda _: eb(TERM.replace("y", "k"), family="poisson"),
    "several predictors": lambda _: eb([TERM, "sigma ~ x"]),
    "smooth": lambda _: eb("y ~ s(x) + (1 | g)"),
    "ar1": lambda _: eb("y ~ x + ar1(t | g)"),
    "Posterior": lambda _: post(),
    "streamed Posterior": lambda path: streamed(path).fit(**QUICK),
    "Bootstrap": lambda _: eb().bootstrap(30, seed=1, progress=False),
    "Bootstrap of counts": lambda _: eb(TERM.replace("y", "k"), family="poisson").bootstrap(
        3, seed=1, progress=False
    ),
    "Hypotheses": lambda _: eb().hypothesis("x > 0"),
    "MarginalMeans": lambda _: eb("y ~ o + (1 | g)").marginal_means("o"),
    "contrasts": lambda _: eb("y ~ o + (1 | g)").marginal_means("o").contrasts("pairwise"),
    "trends": lambda _: eb("y ~ x * o + (1 | g)").trends("x", by="o"),
    "Methods": lambda _: eb().methods(),
    "Shrinkage": lambda _: eb().shrinkage(),
    "Summary": lambda _: eb().summary(),
    "tables": lambda _: bmx.tables({"a": eb().fixed_effects()}),
    "OptimizerReport": lambda _: eb().optimizer,
    "Diagnostics": lambda _: post().diagnostics(),
    "Loo": lambda _: post().loo(),
    "EstimateComparison": lambda _: bmx.compare_estimates({"a": eb(), "b": eb("y ~ x + (x | g)")}),
    "OfCategory": lambda _: eb("o ~ x", family="categorical").of_category("b"),
    "Scenario": lambda _: scenario(),
    "Power": lambda _: bmx.power(scenario(), "x", n=10, seed=1, progress=False),
    "CalibrationRanks": lambda _: bmx.calibrate(
        bmx.Model(TERM, rows()), n=3, seed=1, progress=False
    ),
    "Prior": lambda _: bmx.Prior("Normal", mu=0, sigma=1),
    "Relationship": lambda _: bmx.relationship(pedigree()),
}


@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
@pytest.mark.parametrize("what", MADE)
def test_copies_say_the_same(what: str, tmp_path: Path) -> None:
    made = MADE[what](tmp_path)
    assert type(made).__module__.startswith("bayesmix")
    for how, again in HOW.items():
        found = again(made)
        assert type(found) is type(made), how
        assert repr(found) == repr(made), how
        for table in ("fixed_effects", "covariance_parameters", "variance_components"):
            if callable(getattr(made, table, None)) and not isinstance(made, bmx.Model):
                pd.testing.assert_frame_equal(getattr(found, table)(), getattr(made, table)())


def slope(refit: Any) -> float:
    return float(refit.beta[1])


def test_copies_of_a_bootstrap_have_its_intervals() -> None:
    boot = eb().bootstrap(40, seed=1, statistic=slope, progress=False)
    expected = boot.intervals("bca")
    for again in HOW.values():
        pd.testing.assert_frame_equal(again(boot).intervals("bca"), expected)


def test_a_function_that_no_pickle_takes_is_missed_where_it_is_called() -> None:
    boot = eb().bootstrap(40, seed=1, statistic=lambda refit: refit.beta[1], progress=False)
    made = HOW["pickle"](boot)
    pd.testing.assert_frame_equal(made.intervals("bc"), boot.intervals("bc"))
    with pytest.raises(NotSupportedError, match="define it with def at the top of a module"):
        made.intervals("bca")
    expected = boot.intervals("bca")
    pd.testing.assert_frame_equal(HOW["deepcopy"](boot).intervals("bca"), expected)


def test_copies_of_streamed_models_read_their_rows(tmp_path: Path) -> None:
    model = streamed(tmp_path)
    expected = model.fit_eb().fixed_effects()
    for again in HOW.values():
        found = again(model).fit_eb().fixed_effects()
        np.testing.assert_allclose(found["estimate"], expected["estimate"], rtol=1e-10)
