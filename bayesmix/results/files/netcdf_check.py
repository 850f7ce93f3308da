"""A netCDF file is looked at by a child process before this one opens it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bayesmix.errors import FileError
from bayesmix.results.files.places import found_there

__all__ = ["checked_netcdf", "identity", "mark_as_checked"]

SECONDS = 10.0  # of the processor for the child, and for each 50 MB of the file one more
_PATIENCE = 6  # times as much by the clock: the machine may be busy
_BYTES_PER_SECOND = 50e6
_CHECK = Path(__file__).with_name("hdf5_check.py")
_CHILD = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "runpy.run_path(sys.argv[2], run_name='__main__')"
)
# Files as this process wrote or checked them: device, inode, size and times of change.
_KNOWN: set[tuple[int, ...]] = set()


def identity(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written to, or another takes its place."""
    found = found_there(path)
    if found is None:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def mark_as_checked(path: Path) -> None:
    """Trust a file, as it is now, for the rest of the process: it was written here."""
    _KNOWN.add(identity(path))


@contextlib.contextmanager
def checked_netcdf(path: Path) -> Iterator[None]:
    """Have a file checked, while the body of the ``with`` imports what will read it.

    Raises
    ------
    FileError
        If it is not built as `save` builds files, or the check takes too long.
    """
    before = identity(path)
    if before in _KNOWN:
        yield
        return
    seconds = SECONDS + (before[2] / _BYTES_PER_SECOND if before else 0)
    child = _start(path, seconds)
    try:
        yield
        # Where no child can be had, all is checked but the time that it takes.
        answer = _in_this_process(path) if child is None else _answer(child, seconds)
    finally:
        if child is not None and child.poll() is None:
            child.kill()
            child.wait()
    if not answer["fine"]:
        raise FileError(f"{str(path)!r} is no netCDF file that bayesmix wrote: {answer['reason']}")
    _KNOWN.add(before)


def _start(path: Path, seconds: float) -> subprocess.Popen[str] | None:
    if not sys.executable or getattr(sys, "frozen", False):  # that would be another program
        return None
    command = [sys.executable, "-I", "-c", _CHILD, json.dumps(sys.path), str(_CHECK)]
    try:
        child = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, encoding="utf-8", env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert child.stdin is not None  # noqa: S101
        child.stdin.write(json.dumps({"path": str(path.absolute()), "seconds": seconds}))
        child.stdin.close()
        child.stdin = None
    except OSError:
        return None
    return child


def _answer(child: subprocess.Popen[str], seconds: float) -> dict[str, object]:
    try:
        said, _ = child.communicate(timeout=_PATIENCE * seconds)
    except subprocess.TimeoutExpired:
        return {
            "fine": False,
            "reason": f"it is damaged (reading it takes longer than {seconds:.0f} s)",
        }
    try:
        answer: dict[str, object] = json.loads(said)
    except ValueError:  # the child has come to its limits, or to a fault of the library
        took = child.returncode == -getattr(signal, "SIGXCPU", 0)
        took = took or child.returncode == -getattr(signal, "SIGKILL", 0)
        reason = f"takes longer than {seconds:.0f} s" if took else "ends the process that does it"
        return {"fine": False, "reason": f"it is damaged (reading it {reason})"}
    return answer


def _in_this_process(path: Path) -> dict[str, object]:
    from bayesmix.results.files.hdf5_check import Refused, check

    try:
        check(str(path.absolute()))
    except Refused as refused:
        return {"fine": False, "reason": str(refused)}
    except Exception as error:  # noqa: BLE001  # h5py raises all kinds
        return {"fine": False, "reason": f"it is damaged ({error})"}
    return {"fine": True, "reason": ""}
