"""Log density of groups of rows with the effects of several linear predictors integrated out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.families.functions import NUMPY
from bayesmix.laws.integrated import in_order, refuse_student, without_own
from bayesmix.laws.levels import name_key
from bayesmix.laws.linear import LinearDraws
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.rows import Rows
from bayesmix.laws.unit_integral import EffectsIntegral, difference_step
from bayesmix.threads import one_blas_thread

if TYPE_CHECKING:
    from bayesmix.statement.stated import StatedModel

__all__ = ["integrated_of_several"]

_AT_ONCE = 131_072  # numbers: 1 MB, which caches hold


def integrated_of_several(
    model: StatedModel,
    parameters: ParameterDraws,
    rows: Rows,
    y: np.ndarray,
    member: np.ndarray,
    own: Mapping[str, Mapping[str, np.ndarray]],
    seed: int,
) -> np.ndarray:
    """Log density of the rows of each unit at each draw, its own effects integrated out.

    Parameters
    ----------
    model : StatedModel
        For its family, and for the effects that predictors share.
    parameters, rows : ParameterDraws and Rows
        For all predictors.
    y : ndarray, shape (n,)
    member : ndarray of int, shape (n,)
        Unit of each row, from 0 without gaps.
    own : mapping of str to mapping of str to ndarray of int, shape (n,)
        By parameter and grouping factor, as of `integrated.integrated_log_density`.
    seed : int
        Seed of importance samples.

    Returns
    -------
    ndarray, shape (S, units)
    """
    family, names = model.family, list(own)
    order = np.argsort(member, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(member))])
    draws_of = {n: parameters if n == "mu" else parameters.others[n] for n in names}
    rows_of = {n: rows if n == "mu" else rows.others[n] for n in names}
    linear, placed = {}, []
    for name in names:
        refuse_student(draws_of[name].scales, rows_of[name])
        left = in_order(without_own(rows_of[name], own[name]), order)
        linear[name] = LinearDraws(draws_of[name], left, seed)
        owners = {g.name: g.owner or name for g in model.design.predictors[name].all_groups}
        placed += [
            _Placed(
                name, group, (owners[group], group), label[order], rows_of[name].Z[group][order]
            )
            for group, label in own[name].items()
            if (label >= 0).any()
        ]
    links = {n: family.parameter_link(n) for n in names if n != "mu"}
    constants = parameters.family_columns()
    per_row = {name: values[order] for name, values in rows.per_row.items()}
    y = y[order]
    out = np.empty((parameters.n_draws, len(ends) - 1))

    def one_unit(unit: int) -> None:
        at = slice(int(ends[unit]), int(ends[unit + 1]))
        n = at.stop - at.start
        columns, n_effects = _columns(placed, at)
        given = {name: values[at] for name, values in per_row.items()}
        words = [seed, name_key("integrated effects"), unit]
        rng = np.random.default_rng(np.random.SeedSequence(words))
        eta = np.concatenate([linear[name].block(at).T for name in names], axis=1)
        pilot = None
        size = max(1, _AT_ONCE // (eta.shape[1] * max(1, n_effects)))
        for start in range(0, len(eta), size):
            draws = np.arange(start, min(start + size, len(eta)))
            numbers = {name: v[draws] for name, v in constants.items()}

            def log_prob(
                predictors: np.ndarray, some: np.ndarray | slice,
                numbers: Mapping[str, np.ndarray] = numbers,
            ) -> np.ndarray:  # fmt: skip
                parts = np.split(predictors, len(names), axis=1)
                values = {name: v[some] for name, v in numbers.items()}
                for name, part in zip(names, parts, strict=True):
                    if name != "mu":
                        values[name] = links[name].inverse(NUMPY, part)
                return family.log_prob(y[at], parts[names.index("mu")], values, given)

            if not n_effects:
                out[draws, unit] = log_prob(eta[draws], slice(None)).sum(axis=1)
                continue
            A = np.zeros((len(draws), eta.shape[1], n_effects))
            for one, label_rows, first in columns:
                root = draws_of[one.parameter].scales[one.group].root[draws]
                where = names.index(one.parameter) * n + label_rows
                to = np.arange(first, first + one.Z.shape[1])
                Z = one.Z[at][label_rows]
                A[:, where[:, None], to] += np.einsum("nk,skj->snj", Z, root)
            problem = EffectsIntegral(
                log_prob=log_prob, eta=eta[draws], A=A, step=difference_step(family),
                n_predictors=len(names),
            )  # fmt: skip
            out[draws, unit], pilot = problem.log_integral(pilot, rng)

    units = range(len(ends) - 1)
    with one_blas_thread(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(one_unit, units):
            pass
    return out


class _Placed:
    """A grouping factor's part of one predictor, and whose effects these are."""

    def __init__(
        self, parameter: str, group: str, effects: tuple[str, str], label: np.ndarray, Z: np.ndarray
    ) -> None:
        self.parameter, self.group, self.effects = parameter, group, effects
        self.label, self.Z = label, Z


def _columns(placed: list[_Placed], at: slice) -> tuple[list[tuple[_Placed, np.ndarray, int]], int]:
    """Rows and first column of each level's effects within a unit, and the number of columns."""
    found: list[tuple[_Placed, np.ndarray, int]] = []
    starts: dict[tuple[tuple[str, str], int], int] = {}
    n_effects = 0
    for one in placed:
        label = one.label[at]
        for level in np.unique(label[label >= 0]).tolist():
            key = (one.effects, level)
            if key not in starts:  # else another predictor has the same effects
                starts[key] = n_effects
                n_effects += one.Z.shape[1]
            found.append((one, np.flatnonzero(label == level), starts[key]))
    return found, n_effects
