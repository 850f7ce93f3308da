"""Peak memory of a fit to a million rows, in times the frame's (Linux).

python benchmarks/memory.py reml    or    nuts

Counted from what the process holds after a small fit, so above imports and
kernels; the frame itself is counted too. Prints MB of the frame and the ratio.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import bayesmix as bmx

FORMULA = "y ~ x + (x | g)"


def status(name: str) -> int:
    """VmRSS, what is held now, or VmHWM, the most that was, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(dict(line.split(":", 1) for line in lines)[name].split()[0])


def simulated(n: int, groups: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    g, x = rng.integers(0, groups, n), rng.normal(size=n)
    b = rng.normal(size=(groups, 2))
    y = 2 + b[g, 0] + (1 + b[g, 1]) * x + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": g})


def fit(data: pd.DataFrame, how: str, draws: int = 1000) -> object:
    model = bmx.Model(FORMULA, data)
    if how == "reml":
        return model.fit_eb()
    return model.fit(draws, seed=1, group_draws="moments", progress=False)


def main(how: str) -> None:
    warnings.simplefilter("ignore")  # of so few draws of the small fit
    fit(simulated(60, 10), how, draws=20)
    before = status("VmRSS")
    data = simulated(1_000_000, 10_000)
    frame = data.memory_usage().sum()
    result = fit(data, how)
    peak = status("VmHWM") - before
    print(f"{frame / 1e6:.1f} {peak / frame:.2f}")
    assert result is not None


if __name__ == "__main__":
    main(sys.argv[1])
