"""L-BFGS-B on a criterion of a few parameters, without what surrounds it in SciPy.

`scipy.optimize.minimize` costs twice what an evaluation of a small model's density does.
The steps are SciPy's own, so the results are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from scipy import optimize
from scipy.optimize import _lbfgsb_py

# Where its step is, and what that takes, is SciPy's to change: before 1.15 it was Fortran's.
_KNOWN_UNTIL = (1, 19)
_VERSION = tuple(int(part) for part in scipy.__version__.split(".")[:2])
_PARTS: list[Any] = [
    getattr(_lbfgsb_py, name, None) if _VERSION < _KNOWN_UNTIL else None
    for name in ("_lbfgsb", "status_messages", "task_messages")
]

__all__ = ["Descent", "descend"]

_CORRECTIONS, _LINE_SEARCH = 20, 20
_ITERATIONS, _EVALUATIONS = 1000, 4000
_UNBOUNDED, _BOUNDED = 0, 2
_NEW_ITERATE, _EVALUATE, _STOPPED = 1, 3, 5
_TOO_MANY_EVALUATIONS, _TOO_MANY_ITERATIONS = 502, 504


@dataclass(slots=True)
class Descent:
    """Where a descent has ended: the point, value and gradient there, and why, in SciPy's words."""

    x: np.ndarray
    value: float
    gradient: np.ndarray
    message: str


def descend(
    criterion: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray,
    edge: np.ndarray, ftol: float, gtol: float,
) -> Descent:  # fmt: skip
    """Minimise from a start.

    Parameters
    ----------
    criterion : callable
        Returns the value and a gradient of its own.
    start : ndarray
    edge : ndarray
        How far from zero each coordinate may go; infinite for those without end.
    ftol, gtol : float
        As of SciPy's L-BFGS-B.

    Returns
    -------
    Descent
    """
    if None in _PARTS:
        return _by_scipy(criterion, start, edge, ftol, gtol)
    library, status, tasks = _PARTS
    n, m = start.size, _CORRECTIONS
    whole = np.int64 if getattr(_lbfgsb_py, "HAS_ILP64", False) else np.int32
    bounded = np.isfinite(edge)
    upper = np.where(bounded, edge, 0.0)
    lower, kind = -upper, np.where(bounded, _BOUNDED, _UNBOUNDED).astype(whole)
    x = np.clip(start, -edge, edge).astype(float)
    work = np.zeros(2 * m * n + 5 * n + 11 * m * m + 8 * m)
    counts, lsave, isave = np.zeros(3 * n, whole), np.zeros(4, whole), np.zeros(44, whole)
    task, line, dsave = np.zeros(2, whole), np.zeros(2, whole), np.zeros(29)
    factr = ftol / np.finfo(float).eps
    # As often as SciPy: a criterion may begin where it was left the last time.
    last, evaluations, iterations = x.copy(), 1, 0
    value, gradient = criterion(last)
    f: Any = np.array(0.0)
    g = np.zeros(n)
    while True:
        library.setulb(
            m, x, lower, upper, kind, f, g, factr, gtol, work, counts, task, lsave, isave, dsave,
            _LINE_SEARCH, line,
        )  # fmt: skip
        if task[0] == _EVALUATE:
            if not np.array_equal(last, x):
                last = x.copy()
                value, gradient = criterion(last)
                evaluations += 1
            f, g = value, gradient.copy()
        elif task[0] == _NEW_ITERATE:
            iterations += 1
            if iterations >= _ITERATIONS:
                task[:] = _STOPPED, _TOO_MANY_ITERATIONS
            elif evaluations > _EVALUATIONS:
                task[:] = _STOPPED, _TOO_MANY_EVALUATIONS
        else:
            break
    if not np.array_equal(last, x):  # a line search that fails goes back to where it began
        value, g = criterion(x.copy())
    return Descent(x, value, g, f"{status[task[0]]}: {tasks[task[1]]}")


def _by_scipy(
    criterion: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray,
    edge: np.ndarray, ftol: float, gtol: float,
) -> Descent:  # fmt: skip
    bounds = [(-end, end) if np.isfinite(end) else (None, None) for end in edge.tolist()]
    found = optimize.minimize(
        criterion, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={
            "maxiter": _ITERATIONS, "maxfun": _EVALUATIONS, "ftol": ftol, "gtol": gtol,
            "maxcor": _CORRECTIONS, "maxls": _LINE_SEARCH,
        },
    )  # fmt: skip
    return Descent(found.x, float(found.fun), found.jac, str(found.message))
