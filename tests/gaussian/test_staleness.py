"""Kernels compiled from other code are not used."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import bayesmix
from bayesmix.gaussian.staleness import drop_stale_kernels, file_tag, fingerprint


def look(folder: Path) -> bool:
    """As the first call in a process does."""
    drop_stale_kernels.cache_clear()
    return drop_stale_kernels(folder)


def test_a_cache_of_other_code_is_dropped(tmp_path: Path) -> None:
    assert not look(tmp_path / "cache")
    ours = tmp_path / f"density.criterion-1.py313.{file_tag()}-0123456789ab.nbc"
    theirs = tmp_path / "density.criterion-1.py313.ba9876543210-0123456789ab.nbc"
    old, new = (tmp_path / f"{ours.name}.tmp.{name}" for name in ("old", "new"))
    for path in (ours, theirs, old, new):
        path.write_bytes(b"compiled")
    os.utime(old, (0, 0))
    assert look(tmp_path)
    assert sorted(tmp_path.iterdir()) == [ours, new]
    assert not look(tmp_path)


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
        and "pedigree" not in path.parts  # compiled in each process, and kept nowhere
    }
    read = set()
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (read.add(path), original(path))[1])
    fingerprint.__wrapped__()
    assert len(compiled) > 10
    assert compiled <= read
