"""A million rows are fitted beside the data, not in several copies of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' /proc")
@pytest.mark.parametrize("how", ["reml", "nuts"])
def test_peak_memory_of_a_million_rows_is_below_three_frames(how: str) -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "memory.py", how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[1]) < 3
