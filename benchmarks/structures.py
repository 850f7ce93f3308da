"""Structured terms and smooths beside glmmTMB, mgcv and bambi, each run in a new process.

Seconds are of processor time, all threads together, so that other work on the machine does not count.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import peers

import bayesmix as bmx

HERE = Path(__file__).parent
LIMIT = int(os.environ.get("BENCH_LIMIT", "600"))  # seconds that a run is given


@dataclass(frozen=True, kw_only=True)
class Case:
    """Data, formula, the formula as the others write it, and their groups."""

    data: str
    formula: str
    peer: str  # which R package
    peer_formula: str
    groups: str
    bambi: dict[str, tuple[str, str]] = field(default_factory=dict)  # sampler and formula
    also: str = ""  # a second formula of ours, of the model that bambi can state


COLUMNS = [f"{name}{k}" for name in "xz" for k in range(9)]
CASES = {
    "gpa, ar1(occasion \\| student)": Case(
        data="gpa.csv", formula="gpa ~ occasion + ar1(occasion | student)", peer="glmmTMB",
        peer_formula="gpa ~ occasion + ar1(time + 0 | student)", groups="student",
    ),
    "field of 60 places, exp(lon + lat \\| 1)": Case(
        data="sim_spatial.csv", formula="y ~ 1 + exp(lon + lat | 1)", peer="glmmTMB",
        peer_formula="y ~ 1 + exp(place + 0 | one)",
        groups="one",
        # By PyMC's sampler: nutpie's trace of hsgp() cannot be read by ArviZ.
        bambi={"hsgp": ("pymc", 'y ~ 1 + hsgp(lon, lat, m=10, c=1.5, cov="Matern32")')},
    ),
    "GAMM, 10,000 rows, s(x) + s(z) + (1 \\| g)": Case(
        data="gamm", formula="y ~ s(x) + s(z) + (1 | g)", peer="mgcv",
        peer_formula='y ~ s(x, bs = "tp") + s(z, bs = "tp") + s(g, bs = "re")',
        groups="g", also="y ~ bs(x, df=9) + bs(z, df=9) + (1 | g)",
        bambi={
            "hsgp": ("pymc", "y ~ 1 + hsgp(x, m=15, c=1.5) + hsgp(z, m=15, c=1.5) + (1 | g)"),
            "bs(df=9)": ("pymc", "y ~ 1 + bs(x, df=9) + bs(z, df=9) + (1 | g)"),
            # Column by column, as nutpie's trace of bs() cannot be read by ArviZ either.
            "columns of bs(df=9)": ("nutpie", f"y ~ 1 + {' + '.join(COLUMNS)} + (1 | g)"),
        },
    ),
}  # fmt: skip

OURS = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
import bayesmix as bmx
path, formula, groups, how = sys.argv[1:5]
data = pd.read_csv(path)
warm = pd.DataFrame({"y": np.random.default_rng(0).normal(size=24), "t": np.tile(np.arange(6), 4),
                     "g": np.repeat(list("abcd"), 6)})
for text in ("y ~ 1 + (1 | g)", "y ~ t + ar1(t | g)", "y ~ 1 + exp(t | g)"):
    model = bmx.Model(text, warm)
    model.fit_eb()
    if how == "nuts":
        model.fit(draws=50, tune=50, chains=1, seed=1, progress=False)
start = time.process_time()
if how == "reml":
    seconds = []
    for _ in range(5):
        start = time.process_time()
        fit = bmx.Model(formula, data).fit_eb()
        seconds.append(time.process_time() - start)
    print(json.dumps({"seconds": float(np.median(seconds)), "loglik": fit.loglik}))
else:
    post = bmx.Model(formula, data).fit(draws=1000, chains=4, seed=1, progress=False)
    seconds = time.process_time() - start
    found = post.diagnostics()
    ess = min(found.min_ess_bulk, post.group_effects()["ess_bulk"].min())
    print(json.dumps({"seconds": seconds, "ess": ess, "divergences": found.divergences}))
"""


def make_data(name: str, reference: Path) -> pd.DataFrame:
    if name.endswith(".csv"):
        return pd.read_csv(reference / "data" / name)
    rng = np.random.default_rng(3)
    n, g = 10_000, rng.integers(0, 200, 10_000)
    x, z = rng.uniform(size=n), rng.uniform(size=n)
    y = np.sin(6 * x) + 2 * (z - 0.5) ** 2 + 0.5 * rng.normal(size=200)[g] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "z": z, "g": g})
    splines = bmx.Model("y ~ bs(x, df=9) + bs(z, df=9)", data).design.mu.X[:, 1:]
    return data.assign(**dict(zip(COLUMNS, splines.T, strict=True)))


def run(command: list[str]) -> dict[str, float] | str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"not within {LIMIT} s"
    if done.returncode:
        return "failed: " + (done.stderr.strip().splitlines() or ["?"])[-1][:80]
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def one_case(name: str, case: Case, path: str, python: str) -> tuple[list[str], list[str]]:
    """Rows of the table of REML, and of that of posteriors."""
    ours = [sys.executable, "-c", OURS, path, case.formula, case.groups]
    found = {"bayesmix": run([*ours, "reml"])}
    if shutil.which("Rscript"):
        script = str(HERE / "peer_structures.R")
        found[case.peer] = run(["Rscript", script, case.peer, path, case.peer_formula, case.groups])
    base = found["bayesmix"]
    assert not isinstance(base, str), base
    likelihoods = [
        f"| {name} | {who} | {result} | | |" if isinstance(result, str)
        else f"| {name} | {who} | {result['seconds']:.3f} | {result['loglik']:.3f} | "
        f"{result['seconds'] / base['seconds']:.1f} |"
        for who, result in found.items()
    ]  # fmt: skip
    drawn = {"bayesmix": run([*ours, "nuts"])}
    if case.also:
        own = [sys.executable, "-c", OURS, path, case.also, case.groups, "nuts"]
        drawn["bayesmix, unpenalised splines"] = run(own)
    for what, (sampler, formula) in case.bambi.items():
        command = [python, str(HERE / "peer_bambi.py"), path, formula, case.groups, "gaussian",
                   sampler]  # fmt: skip
        run([*command, "10"])  # fills PyTensor's cache
        drawn[f"bambi ({sampler}), {what}"] = run([*command, "1000"])
    return likelihoods, [row(name, who, result) for who, result in drawn.items()]


def row(name: str, who: str, result: dict[str, float] | str) -> str:
    if isinstance(result, str):
        return f"| {name} | {who} | {result} | | | |"
    seconds = result.get("cpu", result["seconds"])
    return (
        f"| {name} | {who} | {seconds:.2f} | {result['ess']:.0f} | "
        f"{result['divergences']:.0f} | {result['ess'] / seconds:.0f} |"
    )


LARGE = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
import bayesmix as bmx
rng = np.random.default_rng(1)
if sys.argv[1] == "related":
    n, first = 2000, 250
    pedigree = pd.DataFrame({
        "animal": np.arange(n),
        "sire": [None] * first + [int(rng.integers(0, i // 2)) for i in range(first, n)],
        "dam": [None] * first + [int(rng.integers(i // 2, i)) for i in range(first, n)],
    })
    A = bmx.relationship(pedigree, hermaphrodites=True)
    b = np.linalg.cholesky(A.matrix().to_numpy()) @ rng.normal(size=n)
    data = pd.DataFrame({"animal": rng.integers(0, n, 2 * n), "x": rng.normal(size=2 * n)})
    data["y"] = 0.5 * data["x"] + b[data["animal"]] + rng.normal(size=2 * n)
    formula, more = "y ~ x + (1 | gr(animal, cov=A))", {"matrices": {"A": A}}
else:
    n = 1_000_000
    data = pd.DataFrame({"x": rng.uniform(size=n), "z": rng.uniform(size=n)})
    data["g"] = rng.integers(0, 1000, n)
    data["y"] = np.sin(6 * data["x"]) + data["z"] ** 2 + rng.normal(size=n)
    data["y"] += 0.5 * rng.normal(size=1000)[data["g"]]
    formula, more = "y ~ s(x) + s(z) + (1 | g)", {}
bmx.Model("y ~ s(x) + (1 | g)" if not more else "y ~ x", data.iloc[:500]).fit_eb()
start = time.process_time()
fit = bmx.Model(formula, data, **more).fit_eb()
seconds = time.process_time() - start
from bayesmix.gaussian.density import profiled_deviance
from bayesmix.inference.problems import gaussian_problem
problem = gaussian_problem(fit.model)
co = problem.relative_coordinates()
x, gradient = np.zeros(co.n_all), np.empty(co.n_all)
start = time.process_time()
for _ in range(20):
    profiled_deviance(problem.equations, co, x, True, 0.0, gradient)
print(json.dumps({"seconds": seconds, "evaluation": (time.process_time() - start) / 20}))
"""


def large() -> list[str]:
    """Rows of the table of large models."""
    rows = []
    for name, which in (
        ("a pedigree of 2,000, (1 \\| gr(animal, cov=A)), 4,000 rows", "related"),
        ("1,000,000 rows, s(x) + s(z) + (1 \\| g), 1,000 groups", "smooths"),
    ):
        found = run([sys.executable, "-c", LARGE, which])
        rows.append(
            f"| {name} | {found} | |" if isinstance(found, str)
            else f"| {name} | {found['seconds']:.2f} | {1e6 * found['evaluation']:.0f} |"
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def compare() -> list[str]:
    """Three tables in Markdown: REML, posteriors, and large models."""
    folder = os.environ.get("BAYESMIX_REFERENCE", "")
    if not folder:
        return ["The comparison of structures needs the data in BAYESMIX_REFERENCE."]
    peers.make_environment()
    python = str(peers.ENVIRONMENT / "bin" / "python")
    likelihoods, posteriors = [], []
    with tempfile.TemporaryDirectory() as scratch:
        path = str(Path(scratch) / "data.csv")
        for name, case in CASES.items():
            make_data(case.data, Path(folder)).to_csv(path, index=False)
            fits, draws = one_case(name, case, path, python)
            print(*fits, *draws, sep="\n", flush=True)
            likelihoods += fits
            posteriors += draws
        # What posteriors of structures are held against.
        sleep = peers.CASES["sleepstudy slopes"]
        make_data(sleep.data, Path(folder)).to_csv(path, index=False)
        command = [python, str(HERE / "peer_bambi.py"), path, sleep.plain.replace("||", "|"),
                   "Subject", "gaussian", "nutpie"]  # fmt: skip
        run([*command, "10"])
        posteriors.append(row("sleepstudy slopes", "bambi (nutpie)", run([*command, "1000"])))
        print(posteriors[-1], flush=True)
    return [
        "| case | who | seconds | REML log-likelihood | times bayesmix |",
        "| --- | --- | --- | --- | --- |",
        *likelihoods,
        "",
        "mgcv's restricted likelihood leaves other constants out.",
        "",
        "| case | who | seconds | smallest bulk ESS | divergences | ESS per second |",
        "| --- | --- | --- | --- | --- | --- |",
        *posteriors,
        "",
        "| large model | model and REML, seconds | an evaluation with its gradient, microseconds |",
        "| --- | --- | --- |",
        *large(),
    ]


if __name__ == "__main__":
    print(*compare(), sep="\n")
