"""Memory and time of a fit to rows that stay on disk (Linux).

python benchmarks/streaming.py    [millions of rows, 16 by default]

Writes a parquet file into a temporary folder, fits a small model for the kernels, then
REML of all rows. Prints the peak above what the process held before, in MB, and seconds on the clock and of
the processors.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import bayesmix as bmx

sys.path.insert(0, str(Path(__file__).parent))
from memory import status

FORMULA = "y ~ x + (x | g)"


def write(path: Path, n: int, groups: int) -> None:
    """Write rows a million at a time."""
    rng = np.random.default_rng(1)
    b = rng.normal(size=(groups, 2))
    writer = None
    while n > 0:
        m = min(n, 1_000_000)
        g, x = rng.integers(0, groups, m), rng.normal(size=m)
        y = 2 + b[g, 0] + (1 + b[g, 1]) * x + rng.normal(size=m)
        table = pa.table({"y": y, "x": x, "g": g})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        n -= m
    if writer is not None:
        writer.close()


def measured(model_of: Callable[[], bmx.Model]) -> tuple[Any, str]:
    """Fit a model whose rows stay on disk: the fit, and what it took in words."""
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = status("VmRSS"), time.perf_counter()
    of_processor = time.process_time()
    model = model_of()
    read = time.perf_counter() - start
    eb = model.fit_eb()
    seconds = time.perf_counter() - start
    peak = (status("VmHWM") - before) / 1e6
    own = time.process_time() - of_processor
    return eb, (
        f"{peak:.0f} MB, {seconds:.1f} s ({read:.1f} s the design), {own:.1f} s of processor time"
    )


def main(millions: float) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.parquet"), Path(folder, "large.parquet")
        write(small, 2000, 10)
        bmx.Model(FORMULA, small).fit_eb()
        write(large, int(millions * 1e6), 10_000)
        eb, words = measured(lambda: bmx.Model(FORMULA, large))
        print(f"{millions:g} million rows: {words}")
        print(eb.variance_components().to_string())


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 16.0)
