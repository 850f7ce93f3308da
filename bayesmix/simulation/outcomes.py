"""What has been found of each design, in memory and in a file from which a run goes on."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from bayesmix.errors import ArgumentError, FileError
from bayesmix.results.files.places import as_path, found_there, write_whole
from bayesmix.simulation.question import Answer

__all__ = ["Kept", "Outcomes"]

_MOST_BYTES = 2**30  # a million data sets of a design take 30 MB


class Outcomes(list[Answer | None]):
    """Answers of one design's data sets, None of those that could not be fitted."""

    def summary(self, truth: float | None) -> dict[str, float]:
        """Count successes, with Clopper and Pearson's interval."""
        good = [answer for answer in self if answer is not None]
        n, k = len(good), sum(answer.success for answer in good)
        lower = float(special.betaincinv(k, n - k + 1, 0.025)) if k else 0.0
        upper = float(special.betaincinv(k + 1, n - k, 0.975)) if k < n else 1.0
        estimates = np.asarray([a.estimate for a in good if a.success])
        exaggeration = wrong = np.nan
        if truth and k:
            exaggeration = float(np.abs(estimates).mean() / abs(truth))
            wrong = float((np.sign(estimates) != np.sign(truth)).mean())
        return {
            "n": n, "power": k / n if n else np.nan, "lower": lower if n else np.nan,
            "upper": upper if n else np.nan, "failed": len(self) - n,
            "exaggeration": exaggeration, "wrong_sign": wrong,
        }  # fmt: skip


class Kept:
    """Outcomes of each design, written behind each other.

    A line that is not whole (the process was killed, the disk was full) is dropped, and its data
    sets are made again. Each line says with which data set it begins, so that two processes may
    write the same file.

    Parameters
    ----------
    path : str, Path or None
        JSON lines: what was called, then one line per piece of a design.
    call : mapping of str to object
        What the outcomes are of.

    Attributes
    ----------
    unwritten : str
        Why the file could not be written, after which nothing more is; empty where all is there.

    Raises
    ------
    FileError
        If it is no path, no file, too large, or cannot be read or begun.
    ArgumentError
        If the file is of another call, or no such file.
    """

    def __init__(self, path: str | os.PathLike[str] | None, call: Mapping[str, Any]) -> None:
        self.unwritten = ""
        self._path = None if path is None else as_path(path)
        self._found = dict[str, Outcomes]()
        if self._path is None:
            return
        there = found_there(self._path)
        if there is None:
            write_whole(self._path, (json.dumps(dict(call)) + "\n").encode())
            return
        if not stat.S_ISREG(there.st_mode):
            raise FileError(f"{str(self._path)!r} is no file: take another file=")
        lines = _whole_lines(self._path, there.st_size)
        try:
            before, *pieces = [_read(line) for line in lines]
            for piece in pieces:
                self._take(piece)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ArgumentError(
                f"{self._path} is no file that power() wrote, or it is damaged: take another file="
            ) from error
        now = json.loads(json.dumps(dict(call)))
        differ = [name for name in now if before.get(name) != now[name]]
        if differ:
            shown = ", ".join(f"{name} was {before.get(name)!r}" for name in differ[:2])
            raise ArgumentError(f"{self._path} is of another call ({shown}): take another file=")

    def _take(self, piece: Mapping[str, Any]) -> None:
        answers = [_answer(given) for given in piece["answers"]]
        own = self._found.setdefault(piece["of"], Outcomes())
        first = piece.get("from", len(own))
        if not isinstance(first, int) or not 0 <= first <= len(own):
            raise ValueError("outcomes are missing")
        own += answers[len(own) - first :]

    def of(self, size: Mapping[str, int], n: int | None = None) -> Outcomes:
        """Return what is known of a design, the first n of it."""
        return Outcomes(self._found.get(_key(size), Outcomes())[:n])

    def add(self, size: Mapping[str, int], answers: Iterable[Answer | None]) -> None:
        """Add the next answers of a design."""
        new, own = list(answers), self._found.setdefault(_key(size), Outcomes())
        first = len(own)
        own.extend(new)
        if self._path is None or self.unwritten or not new:
            return
        rows = [
            None if a is None
            else [bool(a.success), None if np.isnan(a.estimate) else float(a.estimate)]
            for a in new
        ]  # fmt: skip
        piece = {"of": _key(size), "from": first, "answers": rows}
        line = json.dumps({**piece, "check": _check(piece)}).encode() + b"\n"
        try:
            _append(self._path, line)
        except OSError as error:
            self.unwritten = f"{str(self._path)!r} cannot be written: {error.strerror or error}"


def _append(path: Path, line: bytes) -> None:
    """Write a line behind a file, whole or not at all."""
    with path.open("ab", buffering=0) as file:  # a buffer would be written when it is closed
        before = file.tell()
        try:
            while line:
                line = line[file.write(line) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(path, before)
            raise


def _whole_lines(path: Path, size: int) -> list[bytes]:
    """Lines of a file that are complete; what is behind the last of them is cut off."""
    if size > _MOST_BYTES:
        raise FileError(f"{str(path)!r} has {size / 1e9:.1f} GB, more than power() ever writes")
    try:
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        if 0 < end < len(content):
            os.truncate(path, end)
    except OSError as error:
        raise FileError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    return content[:end].splitlines()


def _read(line: bytes) -> dict[str, Any]:
    """Read one line, whose numbers are as they were written."""
    piece = json.loads(line.decode("utf-8"))
    if not isinstance(piece, dict):
        raise ValueError("no outcomes")
    if "check" in piece and piece.pop("check") != _check(piece):
        raise ValueError("the numbers are others than those that were written")
    return piece


def _check(piece: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(dict(piece), sort_keys=True).encode())


def _answer(given: Any) -> Answer | None:
    if given is None:
        return None
    success, estimate = given
    if not isinstance(success, bool) or isinstance(estimate, bool | str):
        raise ValueError("no answer")
    return Answer(success=success, estimate=np.nan if estimate is None else float(estimate))


def _key(size: Mapping[str, int]) -> str:
    return json.dumps(dict(size), sort_keys=True)
