"""Timings of each stage, written to benchmarks/README.md (make bench)."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import bootstrap
import frequentist
import numpy as np
import pandas as pd
import peers
import structures

import bayesmix as bmx
from bayesmix.design import build_design
from bayesmix.formula import parse_formula

REPORT = Path(__file__).with_name("README.md")
REPEATS = 5


def timed(work: Callable[[], object]) -> str:
    """Median and range of the wall time over several runs, after one that does not count."""
    work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    low, middle, high = min(seconds), float(np.median(seconds)), max(seconds)
    return f"{middle:.3g} s ({low:.3g} to {high:.3g})"


def import_time(statement: str) -> str:
    return timed(lambda: subprocess.run([sys.executable, "-c", statement], check=True))


def million_rows() -> tuple[pd.DataFrame, str]:
    rng = np.random.default_rng(1)
    n = 1_000_000
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n)})
    data["g"] = rng.integers(0, 10_000, n)
    return data, "y ~ x + (x | g)"


def peak_memory(data: pd.DataFrame, text: str) -> str:
    tracemalloc.start()
    build_design(parse_formula(text), data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    frame = data.memory_usage(deep=True).sum()
    return f"{peak / 1e6:.0f} MB, {peak / frame:.1f} x the frame's {frame / 1e6:.0f} MB"


def fits_of_a_million_rows() -> str:
    script = Path(__file__).with_name("memory.py")
    ratios = {}
    for how in ("reml", "nuts"):
        command = [sys.executable, str(script), how]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        ratios[how] = run.stdout.split()[1]
    return (
        "Peak memory of the first two (`memory.py`), the frame counted, above imports and a small "
        f"fit:\nREML {ratios['reml']} x, the posterior {ratios['nuts']} x the frame's."
    )


def pymc_stages() -> list[tuple[str, str]]:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    fits = [
        model.fit(seed=seed, engine="pymc", target_accept=0.9, progress=False) for seed in (1, 2, 3)
    ]
    compiled = fits[0].idata.attrs["seconds_compile"]
    sampled = [fit.idata.attrs["seconds_sample"] for fit in fits]
    ess = [
        min(fit.diagnostics().min_ess_bulk, fit.group_effects()["ess_bulk"].min()) for fit in fits
    ]
    return [
        ("compile, once per model and process", f"{compiled:.1f} s"),
        ("sample, 4 chains x (1000 + 1000)", f"{np.median(sampled):.2f} s"),
        ("smallest bulk ESS over all parameters", f"{np.median(ess):.0f}"),
    ]


def main() -> None:
    data, text = million_rows()
    sleep = bmx.load_dataset("sleepstudy")
    rows = [
        ("`import bayesmix`, new process", import_time("import bayesmix")),
        ("`from bayesmix import Model`, new process", import_time("from bayesmix import Model")),
        ("`Model(...)` for sleepstudy", timed(lambda: bmx.Model("Reaction ~ Days + (Days | Subject)", sleep))),
        ("design of 1,000,000 rows, 10,000 groups, slopes", timed(lambda: build_design(parse_formula(text), data))),
        ("its peak memory", peak_memory(data, text)),
        *((f"sleepstudy, PyMC engine: {name}", value) for name, value in pymc_stages()),
    ]  # fmt: skip
    lines = [
        "# Timings",
        "",
        "Written by `make bench`. Median and range of five runs after a warm-up; the PyMC rows are",
        "medians of three fits, with a warm PyTensor cache. Shared machines are noisy: trust",
        "factors of 1.5 and more, not 10 %.",
        "",
        f"{platform.machine()}, Python {platform.python_version()}, bayesmix {bmx.__version__}",
        "",
        "| what | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "## Large data (wall time from the frame to the result, kernels compiled before)",
        "",
        *peers.large(),
        "",
        fits_of_a_million_rows(),
        "",
        "## Beside bambi (4 chains x 1000 draws, from the frame to the posterior)",
        "",
        "Each in a new process; bambi's with a warm PyTensor cache, its compile time included.",
        "bambi has no correlation between group effects, so `||` stands beside the full model.",
        "",
        *peers.compare(),
        "",
        "## REML beside statsmodels and lme4 (one fit, from the frame to the estimates)",
        "",
        f"Each in a new process, and given {frequentist.LIMIT} s.",
        "",
        *frequentist.compare(),
        "",
        "## Structured terms and smooths beside glmmTMB, mgcv and bambi",
        "",
        "Each in a new process: one REML fit (ours the median of five), and 4 chains x 1000 draws.",
        "Seconds are of processor time, all threads together. bambi has none of these structures: it",
        "is given an approximated Gaussian process (hsgp).",
        "",
        *structures.compare(),
        "",
        "## Parametric bootstrap of sleepstudy beside lme4's bootMer",
        "",
        "Milliseconds a refit, of processor and by the clock.",
        "",
        *bootstrap.compare(),
        "",
    ]
    REPORT.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
