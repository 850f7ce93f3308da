"""Contrasts between means, as quantities of their own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.arguments import one_of
from bayesmix.errors import ArgumentError, DataError, NotSupportedError
from bayesmix.results.means.adjustment import ADJUSTMENTS, Adjust
from bayesmix.results.means.contrast_weights import contrast_weights, mean_labels
from bayesmix.results.means.judged import Rope
from bayesmix.results.means.quantities import Quantities
from bayesmix.results.tabular.tables import text_column

__all__ = ["contrasts_between", "names_within", "region_of"]

_UNKNOWN_ADJUSTMENTS = ("scheffe", "fdr", "BH", "dunnettx", "multivariate", "hochberg", "hommel")


def contrasts_between(
    own: Quantities, kind: Any, *, by: Any, adjust: str | None, reference: Any, interaction: bool,
    rope: Any, ci_prob: float, reverse: bool = False,
) -> Quantities:  # fmt: skip
    """Compare means; the arguments are those of `MarginalMeans.contrasts`."""
    within = own.by if by is None else names_within(own, by)
    compared = tuple(name for name in (*own.factors, *own.by) if name not in within)
    families = list(own.families(within))
    if not compared or max(map(len, families)) < 2:
        each = f" within {' and '.join(within)}; take by=[]" if within else ""
        raise NotSupportedError(f"there is nothing to compare: one mean{each}")
    names: list[str] = []
    rows, keys, rows_of = [], [], []
    how = _adjustment(own, adjust, kind, single=not interaction or len(compared) == 1)
    for at in families:
        labels, C = _family(
            own, kind, at, compared, reference, interaction=interaction, reverse=reverse
        )
        names += labels
        rows_of.append(labels)
        full = np.zeros((len(C), len(own.keys)))
        full[:, at] = C
        rows.append(full)
        keys += [own.keys.iloc[at[:1]][list(within)]] * len(C)
    C = np.concatenate(rows)
    label = "contrast" if "contrast" not in within else "contrast_of_contrasts"
    table = pd.concat(keys, ignore_index=True)
    table.insert(0, label, text_column(names))
    sums = bool((np.abs(C.sum(axis=1)) < 1e-9 * np.abs(C).sum(axis=1)).all())
    of = f"Of the {own.what[:1].lower()}{own.what[1:]} by {' and '.join(compared)}."
    known = ~own.estimable.unknown
    return replace(
        own, jointly=own.jointly.combined(C), estimable=own.estimable.combined(C), keys=table,
        factors=(label,), by=within, scale=own.scale.of_contrasts(sums_to_zero=sums),
        what="Contrasts", rope=None if rope is None else region_of(own, rope), signs=True,
        adjust=how if max(map(len, rows_of)) > 1 else None,
        n_means=max(int(known[at].sum()) for at in families), ci_prob=ci_prob,
        notes=own.notes if own.what == "Contrasts" else (of, *own.notes),
    )  # fmt: skip


def names_within(own: Quantities, by: Any) -> tuple[str, ...]:
    """Return the factors within which means are compared.

    Raises
    ------
    DataError
        If the means are not by one of them.
    """
    known = (*own.factors, *own.by)
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in known:
            raise DataError(
                f"by={name!r}: the means are by {', '.join(known) or 'nothing'}; name it in "
                "marginal_means()"
            )
    return tuple(names)


def _family(
    own: Quantities, kind: Any, at: np.ndarray, compared: tuple[str, ...], reference: Any, *,
    interaction: bool, reverse: bool,
) -> tuple[list[str], np.ndarray]:  # fmt: skip
    """Names and weights of the contrasts of one family."""
    keys = own.keys.iloc[at][list(compared)]
    ratio = own.scale.kind == "back_transformed" and bool(own.scale.ratio)
    labels = mean_labels(keys)
    if not interaction or len(compared) == 1:
        values = keys.iloc[:, 0].tolist() if len(compared) == 1 else labels
        return contrast_weights(
            kind, labels, values, reference=reference, ratio=ratio, reverse=reverse
        )
    if reverse:
        raise ArgumentError("interaction=True has no reverse=True; take kind= a dict of weights")
    if isinstance(kind, Mapping):
        raise ArgumentError("interaction=True takes a word, not a dict of weights")
    levels = [keys[[name]].drop_duplicates() for name in compared]
    place = {key: i for i, key in enumerate(_rows(keys))}
    order = [place.get(key, -1) for key in itertools.product(*(one.iloc[:, 0] for one in levels))]
    if min(order) < 0:
        raise NotSupportedError(
            f"interaction=True wants all combinations of {' and '.join(compared)}, some of which "
            "are not among the means"
        )
    names, C = [""], np.ones((1, 1))
    for one in levels:
        more, own_C = contrast_weights(kind, mean_labels(one), one.iloc[:, 0].tolist(), ratio=ratio)
        names = [f"({a}) : ({b})" if a else b for a in names for b in more]
        C = np.kron(C, own_C)
    out = np.zeros_like(C)
    out[:, order] = C
    return names, out


def _rows(keys: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(keys.itertuples(index=False, name=None))


def _adjustment(own: Quantities, adjust: str | None, kind: Any, *, single: bool) -> Adjust | None:
    """How the number of contrasts is allowed for."""
    pairwise = isinstance(kind, str) and kind == "pairwise" and single
    if adjust == "auto":
        if own.drawn or not own.judging.tests:
            return None
        if pairwise:
            return "tukey"
        return "mvt" if isinstance(kind, str) and kind in {"reference", "consecutive"} else None
    if adjust is None or adjust == "none":
        return None
    if own.drawn:
        if adjust != "simultaneous":
            raise ArgumentError(
                f"adjust={adjust!r}: draws have no p-values to adjust; take "
                '"simultaneous" for intervals that hold together, or None'
            )
        return "simultaneous"
    if adjust in _UNKNOWN_ADJUSTMENTS:
        raise ArgumentError(f'adjust={adjust!r} is not known; take "mvt" or "holm"')
    if adjust == "simultaneous":
        return "mvt"
    one_of("adjust", adjust, ADJUSTMENTS)
    if adjust == "tukey" and not pairwise:
        raise ArgumentError(
            'adjust="tukey" is of pairwise differences; take "mvt", which holds for any contrasts, '
            'or "holm"'
        )
    return adjust  # type: ignore[return-value]


def region_of(own: Quantities, rope: Any) -> Rope:
    """Return the ends of a region of practical equivalence.

    Raises
    ------
    ArgumentError
        If these are no two numbers.
    NotSupportedError
        Where there are tests and no probabilities.
    """
    if own.judging.tests:
        raise NotSupportedError(
            "rope= is the probability of a region, and tests have none; take a fit by fit()"
        )
    try:
        low, high = (float(end) for end in rope)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low < high:
        raise ArgumentError(f"rope={rope!r} must be two numbers, the lower first: (-0.1, 0.1)")
    return low, high
