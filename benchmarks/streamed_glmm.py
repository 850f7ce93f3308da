"""Memory and time of a model beyond the normal whose rows stay on disk (Linux).

python benchmarks/streamed_glmm.py    [millions of rows, 2 by default]    [few or continuous]

Writes a parquet file of 0/1 responses into a temporary folder, fits a small model for the kernels, then
Laplace's approximation of all rows. Prints the peak above what the process held before, in MB, and seconds on the
clock and of the processors.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import bayesmix as bmx

sys.path.insert(0, str(Path(__file__).parent))
from streaming import measured

FORMULA = "yes ~ x + t + (1 | g)"


def write(path: Path, n: int, groups: int, *, few: bool) -> None:
    """Write rows a million at a time."""
    rng = np.random.default_rng(1)
    b = 0.7 * rng.normal(size=groups)
    writer = None
    while n > 0:
        m = min(n, 1_000_000)
        g, t = rng.integers(0, groups, m), rng.integers(0, 2, m)
        x = rng.integers(0, 5, m).astype(float) if few else rng.normal(size=m)
        p = 1 / (1 + np.exp(1 - 0.4 * x - 0.5 * t - b[g]))
        yes = (rng.random(m) < p).astype(np.int64)
        table = pa.table({"yes": yes, "x": x, "t": np.where(t == 1, "b", "a"), "g": g})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=131_072)
        n -= m
    if writer is not None:
        writer.close()


def main(millions: float, kind: str) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.parquet"), Path(folder, "large.parquet")
        few = kind == "few"
        write(small, 3000, 10, few=few)
        bmx.Model(FORMULA, small, family="bernoulli").fit_eb().fixed_effects()
        write(large, int(millions * 1e6), 2000, few=few)
        eb, words = measured(lambda: bmx.Model(FORMULA, large, family="bernoulli"))
        print(f"{millions:g} million rows, {kind}: {words}")
        print(eb.fixed_effects().to_string())


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 2.0,
        sys.argv[2] if len(sys.argv) > 2 else "few",
    )
