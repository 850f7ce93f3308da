"""Side by side with bambi, each run in a new process on the same machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ENVIRONMENT = Path(os.environ.get("BAMBI_ENVIRONMENT", HERE / ".envs" / "bambi"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """Data, formula with uncorrelated and with correlated effects, groups, family."""

    data: str
    plain: str
    full: str = ""
    groups: tuple[str, ...]
    family: str = "gaussian"


CASES = {
    "sleepstudy slopes": Case(
        data="sleepstudy.csv", plain="Reaction ~ Days + (Days || Subject)",
        full="Reaction ~ Days + (Days | Subject)", groups=("Subject",),
    ),
    "gpa slopes": Case(
        data="gpa.csv", plain="gpa ~ occasion + (occasion || student)",
        full="gpa ~ occasion + (occasion | student)", groups=("student",),
    ),
    "pupils crossed": Case(
        data="pupils.csv",
        plain="achievement ~ sex + ses + (1 | primary_school_id) + (1 | secondary_school_id)",
        groups=("primary_school_id", "secondary_school_id"),
    ),
    "nurses nested": Case(
        data="nurses.csv",
        plain="stress ~ age + sex + treatment + (1 | hospital) + (1 | wardid)",
        groups=("hospital", "wardid"),
    ),
    "speed_dating": Case(
        data="speed_dating",
        plain="y ~ sex + samerace + attractive_sc + sincere_sc + intelligent_sc + (1 | iid)",
        groups=("iid",), family="bernoulli",
    ),
    "poisson, 10,000 rows, 500 x 100": Case(
        data="poisson", plain="y ~ x + (1 | g) + (1 | h)", groups=("g", "h"), family="poisson",
    ),
    "beta, 2,000 rows, 50 groups": Case(
        data="beta", plain="y ~ x + (1 | g)", groups=("g",), family="beta",
    ),
    "cumulative, 1,000 rows, 50 groups": Case(
        data="cumulative", plain="y ~ x + (1 | g)", groups=("g",), family="cumulative",
    ),
    "zero-inflated Poisson, 2,000 rows, 50 groups": Case(
        data="zero_inflated", plain="y ~ x + (1 | g)", groups=("g",), family="zero_inflated_poisson",
    ),
    "beta-binomial, 2,000 rows, 50 groups": Case(
        data="beta_binomial", plain="proportion(y, trials) ~ x + (1 | g)", groups=("g",),
        family="beta_binomial",
    ),
}  # fmt: skip


def make_data(name: str, reference: Path) -> pd.DataFrame:
    """Data of a case: from the reference folder, or simulated."""
    if name.endswith(".csv"):
        return pd.read_csv(reference / "data" / name)
    rng = np.random.default_rng(7)
    if name == "speed_dating":
        data = pd.read_csv(reference / "data" / "speed_dating.csv").dropna()
        return data.assign(y=(data["decision"] == "Yes").astype(int)).reset_index(drop=True)
    n, n_g = {"poisson": (10_000, 500), "cumulative": (1_000, 50)}.get(name, (2_000, 50))
    g, h, x = rng.integers(0, n_g, n), rng.integers(0, 100, n), rng.normal(size=n)
    eta = 0.3 * x + rng.normal(0, 0.5, n_g)[g]
    if name == "poisson":
        y = rng.poisson(np.exp(eta + 0.5 + rng.normal(0, 0.4, 100)[h]))
    elif name == "beta":
        mu = 1 / (1 + np.exp(-eta))
        y = np.clip(rng.beta(8 * mu, 8 * (1 - mu)), 1e-4, 1 - 1e-4)
    elif name == "zero_inflated":
        y = rng.poisson(np.exp(eta + 0.5)) * (rng.uniform(size=n) > 0.25)
    elif name == "beta_binomial":
        mu = 1 / (1 + np.exp(-eta))
        y = rng.binomial(12, rng.beta(6 * mu, 6 * (1 - mu)))
    else:
        y = np.searchsorted([-1.0, 0.0, 1.2], eta + rng.logistic(size=n)) + 1
    return pd.DataFrame({"y": y, "x": x, "g": g, "h": h, "trials": 12})


OURS = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
import bayesmix as bmx
path, formula, groups, family = sys.argv[1:5]
data = pd.read_csv(path)
for column in groups.split(","):
    data[column] = data[column].astype(str).astype("category")
if family == "cumulative":
    data["y"] = pd.Categorical(data["y"], ordered=True)
# Kernels come from the machine's cache, as PyTensor's functions of bambi do.
bmx.Model(formula, data, family=family).fit(draws=20, tune=20, chains=1, seed=1, progress=False)
start, begun = time.perf_counter(), time.process_time()
post = bmx.Model(formula, data, family=family).fit(draws=1000, chains=4, seed=1, progress=False)
seconds, cpu = time.perf_counter() - start, time.process_time() - begun
ess = min(post.diagnostics().min_ess_bulk, post.group_effects()["ess_bulk"].min())
print(json.dumps({"seconds": seconds, "cpu": cpu, "ess": ess, "divergences": post.diagnostics().divergences}))
"""


def make_environment() -> None:
    if not (ENVIRONMENT / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        pip = str(ENVIRONMENT / "bin" / "pip")
        subprocess.run([pip, "install", "--quiet", "bambi", "nutpie"], check=True)


def run(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def compare() -> list[str]:
    """Rows of a table in Markdown."""
    folder = os.environ.get("BAYESMIX_REFERENCE", "")
    if not folder:
        return ["The comparison with bambi needs the data in BAYESMIX_REFERENCE."]
    make_environment()
    python = str(ENVIRONMENT / "bin" / "python")
    lines = [
        "| case | who | seconds | of processor | smallest bulk ESS | divergences | ESS per second "
        "| ratio to the best bambi | by processor |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    chosen = os.environ.get("BENCH_CASES", ";".join(CASES)).split(";")
    with tempfile.TemporaryDirectory() as scratch:
        for name in chosen:
            case = CASES[name]
            path = str(Path(scratch) / "data.csv")
            make_data(case.data, Path(folder)).to_csv(path, index=False)
            rows = one_case(name, case, path, python)
            print(*rows, sep="\n", flush=True)
            lines += rows
    return lines


def one_case(name: str, case: Case, path: str, python: str) -> list[str]:
    columns = ",".join(case.groups)
    found: list[tuple[str, dict[str, float]]] = []
    for method in ("nutpie", "pymc"):
        formula = case.plain.replace("||", "|")  # bambi's | has no correlation
        command = [python, str(HERE / "peer_bambi.py"), path, formula, columns, case.family, method]
        run([*command, "10"])  # fills PyTensor's cache: the second run is the one that counts
        found.append((f"bambi ({method})", run([*command, "1000"])))
    best, best_cpu = (max(r["ess"] / r[key] for _, r in found) for key in ("seconds", "cpu"))
    for formula in dict.fromkeys((case.plain, case.full or case.plain)):
        command = [sys.executable, "-c", OURS, path, formula, columns, case.family]
        runs = [run(command) for _ in range(3)]
        keys = ("seconds", "cpu", "ess", "divergences")
        middle = {key: float(np.median([r[key] for r in runs])) for key in keys}
        what = "||" if formula == case.plain else "correlated"
        what = what if case.full else "same model"
        found.append((f"bayesmix ({what})", middle))
    lines = []
    for who, result in found:
        rate, rate_cpu = (result["ess"] / result[key] for key in ("seconds", "cpu"))
        lines.append(
            f"| {name} | {who.replace('|', chr(92) + '|')} | {result['seconds']:.2f} | "
            f"{result['cpu']:.2f} | {result['ess']:.0f} | {result['divergences']:.0f} | {rate:.0f} | "
            f"{rate / best:.1f} | {rate_cpu / best_cpu:.1f} |"
        )
    return lines


def large() -> list[str]:
    """Simulated large cases, in new processes with warm kernels."""
    lines = ["| case | seconds |", "| --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        for name, code in LARGE.items():
            script = Path(folder) / "case.py"
            script.write_text(PREPARE + code)
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, str(script)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
            seconds = done.stdout.strip().splitlines()[-1]
            lines.append(f"| {name} | {seconds} |")
            print(name, seconds, f"({time.perf_counter() - start:.0f} s in all)", flush=True)
    return lines


PREPARE = """
import time, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
import bayesmix as bmx
rng = np.random.default_rng(1)
warm = pd.DataFrame({"y": rng.normal(size=60), "g": np.repeat(np.arange(10), 6), "h": np.tile(np.arange(6), 10)})
for text in ("y ~ 1 + (1 | g)", "y ~ 1 + (1 | g) + (1 | h)"):
    bmx.Model(text, warm).fit_eb()
    bmx.Model(text, warm).fit(draws=20, tune=20, chains=1, seed=1, progress=False)
def timed(work):
    start = time.perf_counter(); work(); print(f"{time.perf_counter() - start:.2f}")
"""
MILLION = """
N = 1_000_000; g = rng.integers(0, 10_000, N); x = rng.normal(size=N); b = rng.normal(size=(10_000, 2))
d = pd.DataFrame({"y": 2 + b[g, 0] + (1 + b[g, 1]) * x + rng.normal(size=N), "x": x, "g": g})
"""
LARGE = {
    "1,000,000 rows, 10,000 groups, correlated slopes: REML": MILLION
    + 'timed(lambda: bmx.Model("y ~ x + (x | g)", d).fit_eb())',
    "the same: posterior 4 x 1000, group effects as moments": MILLION
    + 'timed(lambda: bmx.Model("y ~ x + (x | g)", d).fit(seed=1, group_draws="moments", progress=False))',
    "500,000 rows, 125,000 groups, 3 predictors: REML": """
N = 500_000; g = rng.integers(0, 125_000, N); X = rng.normal(size=(N, 3))
d = pd.DataFrame(X, columns=list("abc")).assign(g=g)
d["y"] = X @ [1, 2, 3] + rng.normal(size=125_000)[g] + rng.normal(size=N)
timed(lambda: bmx.Model("y ~ a + b + c + (1 | g)", d).fit_eb())
""",
    "73,000 rows, crossed 3,000 x 1,100 x 14: REML": """
N = 73_000; s, t, k = rng.integers(0, 2972, N), rng.integers(0, 1128, N), rng.integers(0, 14, N)
d = pd.DataFrame({"s": s, "t": t, "k": k, "x": rng.normal(size=N)})
d["y"] = 3 + .3 * rng.normal(size=2972)[s] + .5 * rng.normal(size=1128)[t] + .1 * rng.normal(size=14)[k] + 1.2 * rng.normal(size=N)
timed(lambda: bmx.Model("y ~ x + (1 | s) + (1 | t) + (1 | k)", d).fit_eb())
""",
    "the same crossed data: posterior 4 x 500": """
N = 73_000; s, t, k = rng.integers(0, 2972, N), rng.integers(0, 1128, N), rng.integers(0, 14, N)
d = pd.DataFrame({"s": s, "t": t, "k": k, "x": rng.normal(size=N)})
d["y"] = 3 + .3 * rng.normal(size=2972)[s] + .5 * rng.normal(size=1128)[t] + .1 * rng.normal(size=14)[k] + 1.2 * rng.normal(size=N)
timed(lambda: bmx.Model("y ~ x + (1 | s) + (1 | t) + (1 | k)", d).fit(draws=500, seed=1, progress=False))
""",
    "300,000 rows, crossed 30,000 x 12,000: posterior 4 x 500, group effects as moments": """
N = 300_000; g, h, x = rng.integers(0, 30_000, N), rng.integers(0, 12_000, N), rng.normal(size=N)
d = pd.DataFrame({"g": g, "h": h, "x": x})
d["y"] = 1 + .5 * x + .8 * rng.normal(size=30_000)[g] + .5 * rng.normal(size=12_000)[h] + rng.normal(size=N)
timed(lambda: bmx.Model("y ~ x + (1 | g) + (1 | h)", d).fit(draws=500, seed=1, progress=False))
""",
    "1,800 rows, crossed 56 x 32, 8 correlated effects each: REML": """
n = 1800; s, i = np.repeat(np.arange(56), 33)[:n], rng.integers(0, 32, n)
f = rng.integers(0, 2, (n, 3)) * 2 - 1.0
d = pd.DataFrame({"s": s, "i": i, "a": f[:, 0], "b": f[:, 1], "c": f[:, 2]})
d["y"] = 2000 + 100 * d.a + rng.normal(size=56)[s] * 300 + rng.normal(size=32)[i] * 200 + rng.normal(size=56)[s] * 60 * d.a + rng.normal(size=n) * 600
timed(lambda: bmx.Model("y ~ a * b * c + (a * b * c | s) + (a * b * c | i)", d).fit_eb())
""",
}
