"""What grows with what: seconds and memory by rows, levels, effects and draws (Linux).

python benchmarks/growth.py

Prints tables: each number is of one fit in a warm process, seconds are those of the processors, and
the peak is that above what the process held before it.
"""

from __future__ import annotations

import ctypes
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bmx

sys.path.insert(0, str(Path(__file__).parent))
from memory import status


def rows(n: int, levels: int, slopes: int = 1, seed: int = 1) -> pd.DataFrame:
    """A response with an intercept and slopes by group, and a binary one of few covariates."""
    rng = np.random.default_rng(seed)
    g, X = rng.integers(0, levels, n), rng.normal(size=(n, slopes))
    b = rng.normal(size=(levels, slopes + 1)) / np.sqrt(slopes + 1)
    y = 1 + b[g, 0] + X @ np.ones(slopes) + (X * b[g, 1:]).sum(axis=1) + rng.normal(size=n)
    few = rng.integers(0, 4, n).astype(float)
    p = 1 / (1 + np.exp(1 - 0.5 * few - b[g, 0]))
    found = pd.DataFrame(X, columns=[f"x{k + 1}" for k in range(slopes)])
    return found.assign(g=g, y=y, few=few, yes=(rng.random(n) < p).astype(np.int64))


def measured(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the processors, and the peak of memory in MB above what was held."""
    ctypes.CDLL(None).malloc_trim(0)  # what was freed is held no more
    Path("/proc/self/clear_refs").write_text("5")
    before, start = status("VmRSS"), time.process_time()
    work()
    return time.process_time() - start, (status("VmHWM") - before) / 1e6


def show(title: str, cases: dict[str, Callable[[], Any]]) -> None:
    """One table."""
    print(f"\n{title}")
    for name, work in cases.items():
        seconds, peak = measured(work)
        print(f"| {name} | {seconds:.2f} s | {peak:.0f} MB |", flush=True)


def eb(formula: str, data: Any, **given: Any) -> Callable[[], Any]:
    return lambda: bmx.Model(formula, data, **given).fit_eb().fixed_effects()


def posterior(formula: str, data: Any, draws: int) -> Callable[[], Any]:
    return lambda: bmx.Model(formula, data).fit(draws, seed=1, progress=False).fixed_effects()


def main() -> None:
    warnings.simplefilter("ignore")
    one, binary = "y ~ x1 + (x1 | g)", "yes ~ few + (1 | g)"
    small = rows(2500, 10)
    eb(one, small)()
    eb(binary, small, family="bernoulli")()
    posterior(one, small, 100)()
    sizes = (10_000, 100_000, 1_000_000)
    show("rows, in a frame, 1,000 levels", {f"{n:,}": eb(one, rows(n, 1000)) for n in sizes})
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for n in sizes:
            paths[n] = Path(folder) / f"{n}.parquet"
            rows(n, 1000).to_parquet(paths[n], row_group_size=131_072)
        eb(one, paths[10_000])()
        show("rows, in a file, 1,000 levels", {f"{n:,}": eb(one, paths[n]) for n in sizes})
    show(
        "rows of a bernoulli response, 4 values of x, 100 levels",
        {f"{n:,}": eb(binary, rows(n, 100), family="bernoulli") for n in sizes},
    )
    show(
        "rows of a bernoulli response, x continuous, 100 levels",
        {f"{n:,}": eb("yes ~ x1 + (1 | g)", rows(n, 100), family="bernoulli") for n in sizes[:2]},
    )
    levels = (1000, 10_000, 100_000)
    show("levels, 300,000 rows", {f"{g:,}": eb(one, rows(300_000, g)) for g in levels})
    show(
        "effects a level, 50,000 rows, 500 levels",
        {
            f"{q + 1}": eb(
                "y ~ " + " + ".join(xs := [f"x{k + 1}" for k in range(q)])
                + f" + ({' + '.join(xs)} | g)",
                rows(50_000, 500, q),
            )
            for q in (1, 3, 7)
        },
    )  # fmt: skip
    data = rows(20_000, 1000)
    show(
        "draws of four chains, 20,000 rows, 1,000 levels",
        {f"{4 * d:,}": posterior(one, data, d) for d in (250, 1000, 4000)},
    )


if __name__ == "__main__":
    main()
