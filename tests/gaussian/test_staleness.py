"""Kernels compiled from other code are not used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bayesmix
from bayesmix.gaussian.staleness import drop_stale_kernels, fingerprint


def look(folder: Path) -> bool:
    """As the first call in a process does."""
    drop_stale_kernels.cache_clear()
    return drop_stale_kernels(folder)


def test_a_cache_of_other_code_is_dropped(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert not look(cache)
    kernel = cache / "density._log_density-1.py313.1.nbc"
    kernel.write_bytes(b"compiled")
    assert not look(cache)
    assert kernel.exists()
    (cache / "bayesmix-kernels.sha256").write_text("of other code")
    assert look(cache)
    assert not kernel.exists()
    assert not look(cache)


def test_a_cache_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert not look(file / "cache")


def test_every_file_with_compiled_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(bayesmix.__file__).parent
    compiled = {
        path
        for path in package.rglob("*.py")
        if re.search(r"from numba import|gaussian\.linking import", path.read_text())
    }
    read = set()
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (read.add(path), original(path))[1])
    fingerprint.__wrapped__()
    assert len(compiled) > 10
    assert compiled <= read
