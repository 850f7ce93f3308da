"""REML side by side with statsmodels and lme4, each in a new process on the same machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import bayesmix as bmx

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".envs" / "statsmodels"
LIMIT = 240  # seconds that a peer is given

OURS = """
import json, sys, time
import numpy as np, pandas as pd
import bayesmix as bmx
path, formula = sys.argv[1:3]
data = pd.read_csv(path)
warm = pd.DataFrame({"y": np.arange(12.0) ** 2, "g": list("aabbccddeeff"), "h": list("xyzxyzxyzxyz")})
for text in ("y ~ 1 + (1 | g)", "y ~ 1 + (1 | g) + (1 | h)"):
    bmx.Model(text, warm).fit_eb()
start = time.perf_counter()
fit = bmx.Model(formula, data).fit_eb()
seconds = time.perf_counter() - start
components = fit.variance_components()
print(json.dumps({"seconds": seconds, "loglik": fit.loglik, "sigma": components["sd"].iloc[-1]}))
"""


def cases() -> dict[str, tuple[pd.DataFrame, str, tuple[str, str, str] | None, list[str]]]:
    """Data, formula, statsmodels' three parts of it (None where it has no way), groups."""
    rng = np.random.default_rng(1)
    n = 500_000
    g = rng.integers(0, 125_000, n)
    big = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc")).assign(g=g)
    big["y"] = big[["a", "b", "c"]] @ [1, 2, 3] + rng.normal(size=125_000)[g] + rng.normal(size=n)
    small = big[big["g"] < 12_500].reset_index(drop=True)
    n = 73_000
    s, t, k = rng.integers(0, 2972, n), rng.integers(0, 1128, n), rng.integers(0, 14, n)
    crossed = pd.DataFrame({"s": s, "t": t, "k": k, "x": rng.normal(size=n)})
    crossed["y"] = (
        3 + 0.3 * rng.normal(size=2972)[s] + 0.5 * rng.normal(size=1128)[t]
        + 0.1 * rng.normal(size=14)[k] + 1.2 * rng.normal(size=n)
    )  # fmt: skip
    return {
        "sleepstudy, correlated slopes": (
            bmx.load_dataset("sleepstudy"), "Reaction ~ Days + (Days | Subject)",
            ("Reaction ~ Days", "~Days", "Subject"), ["Subject"],
        ),
        "12,500 groups, 50,000 rows, 3 predictors": (
            small, "y ~ a + b + c + (1 | g)", ("y ~ a + b + c", "~1", "g"), ["g"],
        ),
        "125,000 groups, 500,000 rows, 3 predictors": (
            big, "y ~ a + b + c + (1 | g)", ("y ~ a + b + c", "~1", "g"), ["g"],
        ),
        "crossed, 73,000 rows, 2,972 x 1,128 x 14": (
            crossed, "y ~ x + (1 | s) + (1 | t) + (1 | k)", None, ["s", "t", "k"],
        ),
    }  # fmt: skip


def run(command: list[str]) -> dict[str, float] | str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"not within {LIMIT} s"
    if done.returncode:
        return "failed: " + done.stderr.strip().splitlines()[-1][:80]
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def make_environment() -> None:
    if not (ENVIRONMENT / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        pip = str(ENVIRONMENT / "bin" / "pip")
        subprocess.run([pip, "install", "--quiet", "statsmodels"], check=True)


def compare() -> list[str]:
    """Rows of a table in Markdown."""
    make_environment()
    lines = [
        "| case | who | seconds | REML log-likelihood | sigma | times bayesmix |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, formula, parts, groups) in cases().items():
            path = str(Path(folder) / "data.csv")
            data.to_csv(path, index=False)
            found = {"bayesmix": run([sys.executable, "-c", OURS, path, formula])}
            if shutil.which("Rscript"):
                script = [str(HERE / "peer_lme4.R"), path, formula, ",".join(groups)]
                found["lme4"] = run(["Rscript", *script])
            if parts is not None:
                script = [str(HERE / "peer_statsmodels.py"), path, *parts]
                found["statsmodels"] = run([str(ENVIRONMENT / "bin" / "python"), *script])
            ours = found["bayesmix"]
            assert not isinstance(ours, str), ours
            for who, result in found.items():
                if isinstance(result, str):
                    lines.append(f"| {name} | {who} | {result} | | | |")
                    continue
                lines.append(
                    f"| {name} | {who} | {result['seconds']:.3f} | {result['loglik']:.3f} | "
                    f"{result['sigma']:.5f} | {result['seconds'] / ours['seconds']:.1f} |"
                )
            print(*lines[-len(found) :], sep="\n", flush=True)
    return lines
