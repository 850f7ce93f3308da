"""Parametric bootstrap of sleepstudy beside lme4's bootMer, in one run."""

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
cat(t[["user.self"]] / 200, t[["elapsed"]] / 200, apply(b$t, 2, sd), "\\n")
"""


def compare(n: int = 1000) -> list[str]:
    """Rows of a table in Markdown: milliseconds of a refit, of processor and by the clock."""
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    fit = model.fit_eb()
    fit.bootstrap(20, seed=1, progress=False)
    lines = [
        "| who | processor | times bayesmix | by the clock | times bayesmix "
        "| sd of Intercept, Days |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    own = []
    for cores in (1, 2):
        begin, wall = time.process_time(), time.perf_counter()
        boot = fit.bootstrap(n, seed=1, cores=cores, progress=False)
        own.append(
            (1000 * (time.process_time() - begin) / n, 1000 * (time.perf_counter() - wall) / n)
        )
        se = boot.intervals()["se"].tolist()
        lines.append(
            f"| bayesmix, {n} refits, {cores} thread{'s' if cores > 1 else ''} | {own[-1][0]:.2f} "
            f"| 1.0 | {own[-1][1]:.2f} | 1.0 | {se[0]:.2f}, {se[1]:.2f} |"
        )
    if shutil.which("Rscript"):
        done = subprocess.run(
            ["Rscript", "-e", BOOTMER], capture_output=True, text=True, check=True
        )
        user, elapsed, *sds = (float(word) for word in done.stdout.split())
        cpu, clock = own[0][0], min(wall for _, wall in own)
        lines.append(
            f"| lme4's bootMer, 200 refits | {1000 * user:.2f} | {1000 * user / cpu:.1f} "
            f"| {1000 * elapsed:.2f} | {1000 * elapsed / clock:.1f} | {sds[0]:.2f}, {sds[1]:.2f} |"
        )
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(compare()) + "\n")
