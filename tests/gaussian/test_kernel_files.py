"""A compiled kernel whose file is damaged is compiled anew, and never the wrong one."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import pytest

from bayesmix.errors import CacheWarning
from bayesmix.gaussian import kernel_files
from bayesmix.gaussian.kernel_files import compiled_function, is_kept
from bayesmix.gaussian.linking import f8
from bayesmix.gaussian.staleness import drop_stale_kernels


def plus(a, b):  # type: ignore[no-untyped-def]
    return a + b


def minus(a, b):  # type: ignore[no-untyped-def]
    return a - b


SIGNATURE = f8(f8, f8)


@pytest.fixture(autouse=True)
def new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, and a process that has said nothing yet."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_files, "_SAID", set())
    drop_stale_kernels.cache_clear()
    yield
    drop_stale_kernels.cache_clear()


def value(function: Callable[..., Any]) -> tuple[float, bool]:
    """What the kernel makes of 3 and 2, and whether it came from disk."""
    compiled = compiled_function(function, SIGNATURE)
    return compiled.ctypes(3.0, 2.0), compiled.cache_hits > 0


def file_of(function: Callable[..., Any], folder: Path) -> Path:
    [found] = folder.rglob(f"*.{function.__name__}-*.nbc")
    return found


def test_a_kernel_is_compiled_once(tmp_path: Path) -> None:
    assert not is_kept(plus, SIGNATURE)
    assert value(plus) == (5.0, False)
    assert is_kept(plus, SIGNATURE)
    assert not is_kept(plus, f8(f8))
    assert value(plus) == (5.0, True)
    assert [p.suffix for p in file_of(plus, tmp_path).parent.iterdir()] == [".nbc"]


@pytest.mark.parametrize("damage", ["cut off", "empty", "garbage", "one bit", "header", "folder"])
def test_a_damaged_file_is_made_anew(damage: str, tmp_path: Path) -> None:
    value(plus)
    file = file_of(plus, tmp_path)
    whole = bytearray(file.read_bytes())
    if damage == "folder":
        file.unlink()
        file.mkdir()
        with pytest.warns(CacheWarning, match="cannot be kept on disk"):
            assert value(plus) == (5.0, False)
        return
    if damage == "one bit":
        whole[len(whole) // 2] ^= 1
    file.write_bytes(
        {"cut off": whole[:-100], "empty": b"", "garbage": b"\x80\x04garbage" * 99,
         "one bit": whole, "header": whole[:20]}[damage]
    )  # fmt: skip
    assert not is_kept(plus, SIGNATURE)
    with pytest.warns(CacheWarning, match="damaged and are compiled anew"):
        assert value(plus) == (5.0, False)
    assert value(plus) == (5.0, True)


def test_exchanged_files_do_not_exchange_the_kernels(tmp_path: Path) -> None:
    for function in (plus, minus):
        value(function)
    one, other = (file_of(function, tmp_path) for function in (plus, minus))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with pytest.warns(CacheWarning) as said:
        assert [value(plus), value(minus)] == [(5.0, False), (1.0, False)]
    assert len(said) == 1  # once a process
    assert said[0].filename == __file__
    assert value(minus) == (1.0, True)


def test_a_full_disk_leaves_a_fit_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.warns(CacheWarning, match="No space left on device.*NUMBA_CACHE_DIR") as said:
            assert [value(plus), value(minus)] == [(5.0, False), (1.0, False)]
    assert len(said) == 1
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    assert value(plus) == (5.0, False)
    assert value(plus) == (5.0, True)


def test_what_numba_itself_left_is_not_read(tmp_path: Path) -> None:
    value(plus)
    folder = file_of(plus, tmp_path).parent
    for name in ("test_kernel_files.plus-26.py313.nbi", "test_kernel_files.plus-26.py313.1.nbc"):
        (folder / name).write_bytes(b"garbage")
    (folder / "bayesmix-kernels.sha256").write_bytes(b"\xff\xfe garbage")
    drop_stale_kernels.cache_clear()
    assert value(plus) == (5.0, True)
    assert len(list(folder.iterdir())) == 1


def test_processes_that_compile_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    code = (
        "import sys, numba; numba.config.CACHE_DIR = sys.argv[1]; sys.path.insert(0, sys.argv[2])\n"
        "from test_kernel_files import compiled_function, plus, SIGNATURE\n"
        "for _ in range(5): assert compiled_function(plus, SIGNATURE).ctypes(3., 2.) == 5.\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path), str(Path(__file__).parent)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    assert len(list(file_of(plus, tmp_path).parent.iterdir())) == 1
