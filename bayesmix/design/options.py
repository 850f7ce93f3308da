"""Whether the options of a transform or coding are of the kind that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import did_you_mean, listed
from bayesmix.formula.signatures import CODINGS, SIGNATURES, Signature

__all__ = ["checked_options", "coding_options", "n_levels"]

_EXTRAPOLATIONS = ("clip", "extend", "na", "raise", "zero")
_NEED_A_BASE = frozenset({"TreatmentContrasts", "SASContrasts"})


def checked_options(
    transform: str, args: Sequence[Any], kwargs: Mapping[str, Any], n_rows: int | None
) -> tuple[list[Any], dict[str, Any]]:
    """Check what a transform is called with behind its data.

    Parameters
    ----------
    transform : str
        The name of one of formulaic's transforms.
    args, kwargs
        What it is called with, evaluated; the data come first. Their number and names fit.
    n_rows : int or None
        Number of rows; None where the columns have been made before.

    Returns
    -------
    args, kwargs
        The same, with knots in order and flags as truth values.

    Raises
    ------
    ValueError
        Naming the argument, its value and what it takes.
    """
    signature = SIGNATURES[transform]
    args = [args[0], *_by_place(signature, args[1:])]
    kwargs = {name: _checked(signature.kinds[name], name, v) for name, v in kwargs.items()}
    given = {**dict(zip(signature.by_place, args[1:], strict=False)), **kwargs}
    if n_rows is None:
        return args, kwargs
    if "knots" in signature.kinds:
        _check_spline(transform, np.asarray(args[0]), given)
    if given.get("ddof", 0) >= n_rows:
        raise ValueError(f"ddof is {given['ddof']:g}, and there are {n_rows} rows")
    coding = given.get("contrasts")
    if coding is not None:
        if transform == "hashed":
            known: list[Any] = list(range(int(given["levels"])))
        else:
            known = given.get("levels") or _levels(args[0])
        _check_coding(coding, known)
    return args, kwargs


def coding_options(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Check what a coding, such as ``contr.treatment``, is called with.

    Raises
    ------
    ValueError
    """
    signature = CODINGS[name]
    return _by_place(signature, args), {
        argument: _checked(signature.kinds[argument], argument, value)
        for argument, value in kwargs.items()
    }


def n_levels(values: Any) -> int:
    """Number of the levels that categorical values have."""
    return len(_levels(values))


def _levels(values: Any) -> list[Any]:
    given = getattr(values, "__wrapped__", values)
    if isinstance(getattr(given, "dtype", None), pd.CategoricalDtype):
        return list(given.cat.categories)
    return list(pd.unique(np.asarray(given).reshape(-1)))


def _by_place(signature: Signature, values: Sequence[Any]) -> list[Any]:
    kinds = signature.by_place.items()
    return [_checked(kind, name, v) for (name, kind), v in zip(kinds, values, strict=False)]


def _checked(kind: str, name: str, value: Any) -> Any:
    check = _KINDS.get(kind)
    return value if check is None else check(name, value)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool | np.bool) or (_is_number(value) and value in (0, 1)):
        return bool(value)
    raise ValueError(f"{name} is {value!r}; it must be True or False")


def _amount(name: str, value: Any) -> Any:
    if isinstance(value, bool | np.bool) or _is_number(value):
        return value
    raise ValueError(f"{name} is {value!r}; it must be True, False or a number")


def _ddof(name: str, value: Any) -> Any:
    if _is_number(value) and value >= 0:
        return value
    raise ValueError(f"{name} is {value!r}; it must be a number from 0 up to the number of rows")


def _bound(name: str, value: Any) -> Any:
    if value is None or _is_number(value):
        return value
    raise ValueError(f"{name} is {value!r}; it must be a number")


def _knots(name: str, value: Any) -> list[float] | None:
    """Sort the knots: the basis would be another one, and none, in another order."""
    if value is None:
        return None
    values = value if isinstance(value, list | tuple) else [value]
    if not all(map(_is_number, values)):
        raise ValueError(f"{name} must be numbers, not {value!r}")
    return sorted(map(float, values))


def _extrapolation(name: str, value: Any) -> Any:
    if isinstance(value, str) and value in _EXTRAPOLATIONS:
        return value
    near = did_you_mean(value, _EXTRAPOLATIONS).strip()
    raise ValueError(
        f"{name} is {value!r}; it must be one of {listed(_EXTRAPOLATIONS)}"
        + (f"; {near}" if near else "")
    )


def _constraints(name: str, value: Any) -> Any:
    if value is None or (isinstance(value, str) and value == "center"):
        return value
    raise ValueError(f"{name} is {value!r}; it must be 'center' or None")


def _listed_levels(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{name} is {value!r}; it must list the levels, as in ['a', 'b']")
    if any(level is None or isinstance(level, list | tuple | dict) for level in value):
        raise ValueError(f"{name} must be texts, numbers or truth values, not {value!r}")
    twice = [level for at, level in enumerate(value) if level in value[:at]]
    if twice:
        raise ValueError(f"{name} has {twice[0]!r} twice")
    return list(value)


def _level(name: str, value: Any) -> Any:
    if isinstance(value, str | bool | np.bool) or _is_number(value):
        return value
    raise ValueError(f"{name} is {value!r}; it must be one of the levels")


def _scores(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(map(_is_number, value)):
        raise ValueError(f"{name} must list a number for each level, not {value!r}")
    if len(set(value)) < len(value):
        raise ValueError(f"{name} must differ from level to level, not {value!r}")
    return list(value)


_KINDS: MappingProxyType[str, Callable[[str, Any], Any]] = MappingProxyType(
    {
        "flag": _flag,
        "amount": _amount,
        "ddof": _ddof,
        "bound": _bound,
        "knots": _knots,
        "extrapolation": _extrapolation,
        "constraints": _constraints,
        "levels": _listed_levels,
        "level": _level,
        "scores": _scores,
    }
)


def _check_spline(transform: str, x: np.ndarray, given: Mapping[str, Any]) -> None:
    df, knots = given.get("df"), given.get("knots")
    if df is not None and knots is not None:
        raise ValueError("df and knots exclude each other: leave one out")
    if transform == "bs":
        degree = given.get("degree", 3)
        least = degree + given.get("include_intercept", False)
        why = f"degree {degree}" + (" and an intercept" if least > degree else "")
    else:
        if df is None and knots is None:
            raise ValueError("df=... or knots=... is missing")
        least = (2 if transform == "cc" or given.get("cyclic", False) else 3) - (
            given.get("constraints") is not None
        )
        why = "one knot inside"
        if knots is not None and not knots:
            raise ValueError("knots is empty; the spline needs one or more")
    if df is not None and df < least:
        raise ValueError(f"df is {df}; it must be {least} or more, for {why}")
    if x.dtype.kind not in "iuf" or not np.isfinite(x).any():
        return
    lower, upper = given.get("lower_bound"), given.get("upper_bound")
    lower = float(np.nanmin(x)) if lower is None else lower
    upper = float(np.nanmax(x)) if upper is None else upper
    if lower > upper:
        raise ValueError(f"the lower bound, {lower:g}, is above the upper bound, {upper:g}")
    outside = [knot for knot in knots or () if not lower <= knot <= upper]
    if outside:
        raise ValueError(f"the knot {outside[0]:g} is outside the range {lower:g} to {upper:g}")


def _check_coding(coding: Any, known: Sequence[Any]) -> None:
    """Check a coding against the levels that it is for."""
    if not _is_coding(coding):
        raise ValueError(
            f"the coding must be one such as contr.treatment or a dict of contrasts, not {coding!r}"
        )
    if isinstance(coding, dict | list):
        _check_contrasts(coding, len(known))
        return
    base, scores = getattr(coding, "base", None), getattr(coding, "scores", None)
    written = isinstance(base, str | bool | int | float)
    if type(coding).__name__ in _NEED_A_BASE and written and base not in known:
        raise ValueError(f"the base {base!r} is none of the levels, {listed(known)}")
    if scores is not None and len(scores) != len(known):
        raise ValueError(f"{len(scores)} scores are given for {len(known)} levels")


def _is_coding(value: Any) -> bool:
    """Whether a value is one of formulaic's codings, or contrasts that are written out."""
    return isinstance(value, dict | list) or getattr(
        value, "__module__", type(value).__module__
    ).startswith("formulaic")


def _check_contrasts(coding: dict[Any, Any] | list[Any], n_levels: int) -> None:
    """Check contrasts by name, or a matrix with a row for each level."""
    named = isinstance(coding, dict)
    vectors = list(coding.values()) if isinstance(coding, dict) else coding
    if not vectors or not all(isinstance(v, list | tuple) and v for v in vectors):
        raise ValueError(
            f"contrasts are written {{'name': [-1, 0, 1]}}, a number for each level, not {coding!r}"
        )
    if not all(_is_number(number) for vector in vectors for number in vector):
        raise ValueError(f"contrasts must be numbers, not {coding!r}")
    lengths = {len(vector) for vector in vectors}
    if named and lengths != {n_levels}:
        wrong = min(lengths - {n_levels})
        raise ValueError(f"a contrast has {wrong} numbers for {n_levels} levels")
    if not named and (len(vectors) != n_levels or len(lengths) > 1):
        raise ValueError(f"the matrix of contrasts must have {n_levels} rows of one length")
