"""Which differences of means a word, or the caller's own numbers, stand for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from bayesmix.arguments import listed, one_of, plain
from bayesmix.errors import ArgumentError, NotSupportedError

__all__ = ["ContrastKind", "contrast_weights", "level_text", "mean_labels"]

ContrastKind = Literal["pairwise", "reference", "consecutive", "polynomial", "effects"]
_MOST = 5000
_NAMES = ("linear", "quadratic", "cubic", "quartic")
_OF_OTHERS = {
    "revpairwise": '"pairwise" with reverse=True', "tukey": '"pairwise"',
    "pairs": '"pairwise"', "trt.vs.ctrl": '"reference"', "trt.vs.ctrl1": '"reference"',
    "dunnett": '"reference"', "treatment": '"reference"', "consec": '"consecutive"',
    "sequential": '"consecutive"', "poly": '"polynomial"', "eff": '"effects"',
    "deviation": '"effects"', "del.eff": '"effects"',
}  # fmt: skip


def mean_labels(keys: pd.DataFrame) -> list[str]:
    """What means are called in contrasts: the values of their factors.

    Parameters
    ----------
    keys : DataFrame, K rows

    Returns
    -------
    list of str
    """
    rows = keys.itertuples(index=False, name=None)
    return [" ".join(level_text(value) for value in row) for row in rows]


def contrast_weights(
    kind: Any, labels: Sequence[str], values: Sequence[Any], *, reference: Any = None,
    ratio: bool = False, reverse: bool = False,
) -> tuple[list[str], np.ndarray]:  # fmt: skip
    """Names and weights of contrasts.

    Parameters
    ----------
    kind : str, or mapping of str to sequence of float
    labels : sequence of str, length K
        What the means are called.
    values : sequence, length K
        What they stand for: numbers, where polynomials are spaced by them.
    reference : object
        The mean that others are held against; the first by default.
    ratio : bool
        Whether differences are shown as ratios.
    reverse : bool
        Whether differences of two means are the other way round.

    Returns
    -------
    names : list of str, length M
    weights : ndarray, shape (M, K)

    Raises
    ------
    ArgumentError
        If `kind` or `reference` is none that it knows, or weights do not fit.
    """
    K = len(labels)
    if isinstance(kind, Mapping):
        if reverse:
            raise ArgumentError("reverse=True goes with a word; turn the weights of the dict")
        return _of_caller(kind, labels)
    if isinstance(kind, str) and kind in _OF_OTHERS:
        raise ArgumentError(f"kind={kind!r} is {_OF_OTHERS[kind]} here")
    if not isinstance(kind, str):
        raise ArgumentError(
            f"kind={kind!r} must be one of {listed(get_args(ContrastKind))}, or a dict of "
            'weights, such as {"a - b": [1, -1, 0]}'
        )
    one_of("kind", kind, get_args(ContrastKind))
    if reference is not None and kind != "reference":
        raise ArgumentError(f'reference= is of contrasts("reference"), not of {kind!r}')
    base, eye = 0, np.eye(K)
    if reference is not None:
        base = _place(reference, labels, values)
    pairs = {
        "pairwise": list(itertools.combinations(range(K), 2)),
        "reference": [(k, base) for k in range(K) if k != base],
        "consecutive": [(k + 1, k) for k in range(K - 1)],
    }.get(kind)
    if reverse and pairs is None:
        raise ArgumentError(f"reverse=True turns differences of two means, not those of {kind!r}")
    if pairs is not None:
        pairs = [(b, a) for a, b in pairs] if reverse else pairs
        if len(pairs) > _MOST:
            raise NotSupportedError(
                f"{K} means have {len(pairs):,} differences, more than {_MOST:,}; compare within "
                'another factor (by=), or with "reference" or "consecutive"'
            )
        sign = "/" if ratio else "-"
        names = [f"{_held(labels[a])} {sign} {_held(labels[b])}" for a, b in pairs]
        return names, np.asarray([eye[a] - eye[b] for a, b in pairs]).reshape(-1, K)
    if kind == "effects":
        return [f"{label} effect" for label in labels], eye - 1.0 / K
    return _polynomial(K)


def level_text(value: Any) -> str:
    """Write a level: numbers shortly."""
    value = plain(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _held(label: str) -> str:
    return f"({label})" if " - " in label or " / " in label else label


def _place(reference: Any, labels: Sequence[str], values: Sequence[Any]) -> int:
    for k, (label, value) in enumerate(zip(labels, values, strict=True)):
        if reference == value or str(reference) == label:
            return k
    raise ArgumentError(f"reference={reference!r} is none of the means {listed(labels)}")


def _of_caller(kind: Mapping[Any, Any], labels: Sequence[str]) -> tuple[list[str], np.ndarray]:
    K, rows = len(labels), []
    for name, given in kind.items():
        if isinstance(given, Mapping):
            row = np.zeros(K)
            for label, weight in given.items():
                row[_place(label, labels, labels)] = float(weight)
        else:
            try:
                row = np.asarray(given, dtype=np.float64)
            except (TypeError, ValueError):
                row = np.zeros(0)
        if row.shape != (K,) or not np.isfinite(row).all():
            raise ArgumentError(
                f"contrast {name!r} must have {K} weights, of {listed(labels)}, or be a dict of "
                f"some of them; got {given!r}"
            )
        rows.append(row)
    if not rows:
        raise ArgumentError("the dict of contrasts is empty")
    return [str(name) for name in kind], np.stack(rows)


def _polynomial(K: int) -> tuple[list[str], np.ndarray]:
    """Orthogonal polynomials over equally spaced levels, in whole numbers as tables print them."""
    x = np.arange(K) - (K - 1) / 2
    n = min(K - 1, 6)
    Q = np.linalg.qr(np.vander(x, n + 1, increasing=True))[0]
    rows, names = [], []
    for degree in range(1, n + 1):
        row = Q[:, degree] * (1 if Q[-1, degree] > 0 else -1)
        smallest = np.abs(row[np.abs(row) > 1e-9]).min()
        for factor in range(1, 400):
            scaled = factor * row / smallest
            if np.abs(scaled - scaled.round()).max() < 1e-6 * factor:
                row = scaled.round()
                break
        rows.append(row)
        names.append(_NAMES[degree - 1] if degree <= len(_NAMES) else f"degree {degree}")
    return names, np.asarray(rows).reshape(-1, K)
