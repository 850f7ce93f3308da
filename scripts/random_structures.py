"""Fit random combinations of covariance structures; each ends in a fit or in a named error.

    python scripts/random_structures.py --n 20000 --seed 0 --workers 2
    python scripts/random_structures.py --first 5000 --n 1000
    python scripts/random_structures.py --only 123

Formulas, sizes, units, families and methods are drawn from the seed and a number, so that
``--only 123`` repeats one and a range of numbers goes on where another ended. Models are small,
because what is tried is combinations; a few are larger, sampled, or summarised, saved and loaded.
Twenty thousand take an hour or so on one core. Prints failures and slow models at once, how far it
is every hundred models, and in the end how often each way was taken.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import bayesmix as bmx
from bayesmix.errors import BayesmixError

STEPS = ("ar1", "hetar1", "cs", "homcs", "toep", "homtoep")
PLACES = ("exp", "exp", "gau", "gau", "mat")  # a Matern function costs ten of the others
FAMILIES = ("gaussian", "gaussian", "gaussian", "gaussian", "poisson", "bernoulli", "gamma")
SHARE_OF_LARGE, SHARE_OF_SUMMARIES = 0.01, 0.01  # both take their time
SLOW = 30.0  # seconds


def random_term(rng: np.random.Generator) -> str:
    """Draw one group term."""
    group = rng.choice(["g", "g", "g", "h", "h/g", "g:h", "1"])
    kind = rng.integers(0, 5)
    if kind == 0:
        left = rng.choice(["t", "0 + C(t)", "f", "C(t)"])
        return f"{rng.choice(STEPS)}({left} | {group})"
    if kind == 1:
        return f"ou({rng.choice(['t', 'u', 'np.log1p(t)'])} | {group})"
    if kind == 2:
        left = rng.choice(["u", "u + v", "t + u", "scale(u) + scale(v)"])
        return f"{rng.choice(PLACES)}({left} | {group})"
    if kind == 3:
        word = rng.choice(["homdiag", "us", "diag", "rr"])
        left = rng.choice(["1 + x", "0 + f", "0 + C(t)", "x"])
        return f"{word}({left} | {group}{', d=2' if word == 'rr' else ''})"
    bar = rng.choice(["|", "||"])
    return f"({rng.choice(['1', 'x', '0 + x'])} {bar} {'g' if group == '1' else group})"


def random_table(rng: np.random.Generator, family: str) -> pd.DataFrame:
    """Draw rows of groups by times, some of them missing or twice, in odd units."""
    most_g, most_t = (20, 9) if rng.random() < SHARE_OF_LARGE else (6, 5)
    n_g, n_t = int(rng.integers(2, most_g)), int(rng.integers(1, most_t))
    t = np.cumsum(rng.choice([1, 1, 1, 2, 5], n_t)) - rng.integers(0, 3)
    g = np.repeat(np.arange(n_g), n_t)
    table = pd.DataFrame({"g": g, "t": np.tile(t, n_g)})
    if rng.random() < 0.5:
        table = table.sample(frac=rng.uniform(0.4, 1.5), replace=True, random_state=rng)
    n = len(table)
    unit, place = 10.0 ** rng.integers(-6, 7), 10.0 ** rng.integers(-4, 5)
    between = rng.normal(size=n_g)[table["g"]] * rng.choice([0.0, 0.1, 1.0, 10.0])
    eta = between + rng.normal(size=n) * rng.choice([1e-3, 0.3, 1.0]) + 0.1 * table["t"]
    eta = np.clip(eta.to_numpy(), -4, 4)
    y = {
        "gaussian": lambda: unit * (eta + rng.choice([0.0, 100.0])),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "bernoulli": lambda: rng.random(n) < 1 / (1 + np.exp(-eta)),
        "gamma": lambda: unit * np.exp(eta) * rng.gamma(2.0, 0.5, n),
    }[family]()
    return table.assign(
        y=y,
        h=table["g"] % 3,
        x=rng.normal(size=n),
        f=np.array(list("cabdefghij"))[pd.factorize(table["t"])[0] % 10],
        u=place * (table["t"] + rng.choice([0.0, 0.5]) * rng.integers(0, 2, n)),
        v=place * rng.choice([0.0, 1.0, 3.0], n),
    )


def one(seed: int, number: int, share_of_draws: float) -> tuple[str, str]:
    """Fit one model: what it was, and how it ended."""
    rng = np.random.default_rng([seed, number])
    family = str(rng.choice(FAMILIES))
    table = random_table(rng, family)
    terms = " + ".join(random_term(rng) for _ in range(rng.choice([1, 1, 1, 2, 2, 3])))
    formula = f"y ~ {rng.choice(['t', '1', 'x'])} + {terms}"
    methods = ["reml", "ml", "map"] if family == "gaussian" else ["ml", "map"]
    method = "draws" if rng.random() < share_of_draws else str(rng.choice(methods))
    what = f"{number}: {formula} [{family}, {method}, {len(table)} rows]"
    try:
        model = bmx.Model(formula, table, family=family)
        if method == "draws":
            fit = model.fit(seed=1, chains=1, draws=20, tune=50, progress=False)
        else:
            fit = model.fit_eb(method)
        new = table.iloc[:1].assign(t=table["t"].max() + 2, g=rng.choice([0, 1, 99]))
        estimate = fit.fixed_effects().set_index("term")["estimate"]
        if not np.isfinite(estimate[list(model.design.mu.fixed_effects)]).all():
            return what, "FAILED: an estimate is not finite"
        expected = fit.predict(table[:2])["estimate"]
        if not np.isfinite(expected).all():
            return what, "FAILED: a fitted value is not finite"
        if "f" not in model.formula.columns:
            fit.predict(new)
        if rng.random() < SHARE_OF_SUMMARIES:
            fit.summary()
            with tempfile.TemporaryDirectory() as folder:
                fit.save(Path(folder) / "fit.nc")
                again = bmx.load(Path(folder) / "fit.nc").predict(table[:2])["estimate"]
            if not np.allclose(again, expected, rtol=1e-8):
                return what, "FAILED: a loaded fit predicts otherwise"
    except BayesmixError as error:
        return what, type(error).__name__
    except Exception as error:  # noqa: BLE001  (what is none of ours is looked for)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
        return what, f"FAILED: {type(error).__name__} at {place}: {str(error)[:120]}"
    return what, "fit"


def timed(task: tuple[int, int, float]) -> tuple[int, str, str, float]:
    """Number, model, end and seconds of one."""
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    what, end = one(*task)
    return task[1], what, end, time.perf_counter() - begin


def main() -> int:
    """Run them all and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--draws", type=float, default=0.003, help="share that is sampled")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    numbers = range(given.first, given.first + given.n) if given.only is None else [given.only]
    tasks = [(given.seed, number, given.draws) for number in numbers]
    ends: collections.Counter[str] = collections.Counter()
    start = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        done = pool.imap_unordered(timed, tasks, 8)
        for number, what, end, seconds in done:
            ends[end.partition(":")[0]] += 1
            if end.startswith("FAILED") or seconds > SLOW or given.only is not None:
                print(f"{what}: {end} ({seconds:.1f} s)", flush=True)
            if sum(ends.values()) % 100 == 0:
                passed = time.perf_counter() - start
                print(f"{sum(ends.values())} ({number}), {passed:.0f} s: {dict(ends)}", flush=True)
    print(f"{sum(ends.values())} models in {time.perf_counter() - start:.0f} s: {dict(ends)}")
    return int(ends["FAILED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
