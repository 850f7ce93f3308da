"""What has been found of each design, in memory and in a file from which a run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from bayesmix.errors import ArgumentError
from bayesmix.simulation.question import Answer

__all__ = ["Kept", "Outcomes"]


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

    Parameters
    ----------
    path : Path or None
        JSON lines: what was called, then one line per piece of a design.
    call : mapping of str to object
        What the outcomes are of.

    Raises
    ------
    ArgumentError
        If the file is of another call, or no such file.
    """

    def __init__(self, path: Path | None, call: Mapping[str, Any]) -> None:
        self._path, self._found = path, dict[str, Outcomes]()
        if path is None:
            return
        if not path.exists():
            path.write_text(json.dumps(dict(call)) + "\n", encoding="utf-8")
            return
        try:
            first, *lines = path.read_text(encoding="utf-8").splitlines()
            before = json.loads(first)
            pieces = [json.loads(line) for line in lines]
            if not isinstance(before, dict) or not all("of" in piece for piece in pieces):
                raise ValueError("no outcomes")
        except (ValueError, UnicodeDecodeError, TypeError) as error:
            raise ArgumentError(
                f"{path} is no file that power() wrote: take another file="
            ) from error
        now = json.loads(json.dumps(dict(call)))
        differ = [name for name in now if before.get(name) != now[name]]
        if differ:
            shown = ", ".join(f"{name} was {before.get(name)!r}" for name in differ[:2])
            raise ArgumentError(f"{path} is of another call ({shown}): take another file=")
        for piece in pieces:
            own = self._found.setdefault(piece["of"], Outcomes())
            own += [
                None if a is None
                else Answer(success=bool(a[0]), estimate=np.nan if a[1] is None else float(a[1]))
                for a in piece["answers"]
            ]  # fmt: skip

    def of(self, size: Mapping[str, int], n: int | None = None) -> Outcomes:
        """Return what is known of a design, the first n of it."""
        return Outcomes(self._found.get(_key(size), Outcomes())[:n])

    def add(self, size: Mapping[str, int], answers: Iterable[Answer | None]) -> None:
        """Add the next answers of a design."""
        new = list(answers)
        self._found.setdefault(_key(size), Outcomes()).extend(new)
        if self._path is not None and new:
            rows = [
                None if a is None
                else [a.success, None if np.isnan(a.estimate) else a.estimate]
                for a in new
            ]  # fmt: skip
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"of": _key(size), "answers": rows}) + "\n")


def _key(size: Mapping[str, int]) -> str:
    return json.dumps(dict(size), sort_keys=True)
