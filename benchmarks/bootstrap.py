"""Parametric bootstrap of sleepstudy beside lme4's bootMer, in processor seconds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import bayesmix as bmx

BOOTMER = """
suppressMessages(library(lme4))
m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
f <- function(x) c(fixef(x), as.data.frame(VarCorr(x))$sdcor)
t <- system.time(suppressMessages(suppressWarnings(b <- bootMer(m, f, nsim = 200, seed = 1))))
cat(t[["user.self"]] / 200, apply(b$t, 2, sd), "\\n")
"""


def compare(n: int = 1000) -> list[str]:
    """Rows of a table in Markdown: milliseconds of one thread for a refit."""
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    fit = model.fit_eb()
    fit.bootstrap(20, seed=1, progress=False)
    begin, wall = time.process_time(), time.perf_counter()
    boot = fit.bootstrap(n, seed=1, cores=1, progress=False)
    ours, elapsed = (time.process_time() - begin) / n, time.perf_counter() - wall
    se = boot.intervals()["se"].tolist()
    lines = [
        "| who | milliseconds a refit | times bayesmix | sd of Intercept, Days |",
        "| --- | --- | --- | --- |",
        f"| bayesmix, {n} refits in {elapsed:.1f} s | {1000 * ours:.2f} | 1.0 | "
        f"{se[0]:.2f}, {se[1]:.2f} |",
    ]
    if shutil.which("Rscript"):
        done = subprocess.run(
            ["Rscript", "-e", BOOTMER], capture_output=True, text=True, check=True
        )
        found = [float(word) for word in done.stdout.split()]
        lines.append(
            f"| lme4's bootMer | {1000 * found[0]:.2f} | {found[0] / ours:.1f} | "
            f"{found[1]:.2f}, {found[2]:.2f} |"
        )
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(compare()) + "\n")
