"""Sleepstudy for someone who runs a script: a new process from its imports to what it prints.

Beside it the same call again in that process, where all is loaded. Seconds are of processor
time, medians of five processes. `python benchmarks/process.py`; mixedlm and lme4 take part where
they are installed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import bayesmix as bmx

_PROCESSES = 5
_FORMULA = "Reaction ~ Days + (Days | Subject)"
_TIMED = """
import time
begin = time.process_time()
{imports}
first = time.process_time()
{work}
print("first", first - begin, time.process_time() - begin)
again = []
for _ in range(9):
    t = time.process_time()
    {warm}
    again.append(time.process_time() - t)
print("warm", sorted(again)[4])
"""
_OURS = "import pandas as pd\nimport bayesmix as bmx\nd = pd.read_csv({path!r})"
_MODEL = f"bmx.Model({_FORMULA!r}, d)"
_CASES = {
    "bayesmix, fit_eb()": (_OURS, f"str({_MODEL}.fit_eb())", f"{_MODEL}.fit_eb()"),
    "bayesmix, fit()": (
        _OURS, f"str({_MODEL}.fit(seed=1, progress=False))",
        f"{_MODEL}.fit(seed=1, progress=False)",
    ),
    "mixedlm, lmer()": (
        "import mixedlm\nimport pandas as pd\nd = pd.read_csv({path!r})",
        f"str(mixedlm.lmer({_FORMULA!r}, d).summary())", f"mixedlm.lmer({_FORMULA!r}, d)",
    ),
    "pandas alone": ("import pandas as pd\nd = pd.read_csv({path!r})", "", "d.describe()"),
}  # fmt: skip
_R = """
cpu <- function() sum(proc.time()[c(1, 2)])
suppressMessages(library(lme4))
d <- read.csv({path!r}); f <- {formula}
capture.output(print(summary(lmer(f, d)))) -> said
cat("first 0", cpu(), "\\n")
cat("warm", median(sapply(1:9, function(i) {{ t <- cpu(); lmer(f, d); cpu() - t }})), "\\n")
"""


def main() -> None:
    """Print a table of markdown."""
    print("| who | new process, to what it prints | the same again |")
    print("| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "sleepstudy.csv")
        data = bmx.load_dataset("sleepstudy")
        data.assign(Subject="s" + data["Subject"]).to_csv(path, index=False)
        for who, (imports, work, warm) in _CASES.items():
            code = _TIMED.format(imports=imports.format(path=path), work=work, warm=warm)
            _row(who, [sys.executable, "-c", code])
        _row("lme4, lmer()", ["Rscript", "-e", _R.format(path=path, formula=_FORMULA)])


def _row(who: str, command: list[str]) -> None:
    first, warm = [], []
    for _ in range(_PROCESSES):
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            print(f"| {who} | not here | |", flush=True)
            return
        words = [line.split() for line in said.splitlines()]
        first += [float(line[2]) for line in words if line and line[0] == "first"]
        warm += [float(line[1]) for line in words if line and line[0] == "warm"]
    print(f"| {who} | {statistics.median(first):.3f} | {statistics.median(warm):.4f} |", flush=True)


if __name__ == "__main__":
    main()
