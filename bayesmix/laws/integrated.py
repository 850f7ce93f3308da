"""Log density of groups of rows with their own group effects integrated out, draw by draw.

Given the parameters of a draw, the rows of a unit share effects that no other row has. Their
density is an integral over the normal distribution of those effects, which is taken around
the mode of the integrand: by adaptive Gauss-Hermite quadrature for up to three effects, by
importance sampling for more. It needs the log density of a row only, so that every family
has it, censored and truncated responses included; those that have a compiled one take that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.families import Family
from bayesmix.laws.levels import GroupScale, name_key
from bayesmix.laws.linear import LinearDraws
from bayesmix.laws.parameters import ParameterDraws
from bayesmix.laws.rows import Rows
from bayesmix.laws.unit_integral import (
    NODES,
    PAIRS,
    EffectsIntegral,
    compiled_rows,
    difference_step,
)
from bayesmix.threads import one_blas_thread

__all__ = [
    "expected_seconds", "in_order", "integrated_log_density", "levels_of_one_unit",
    "refuse_student", "without_own",
]  # fmt: skip

_AT_ONCE = 131_072  # numbers: 1 MB, which caches hold


def levels_of_one_unit(index: np.ndarray, member: np.ndarray, n_levels: int) -> np.ndarray:
    """Which levels of a grouping factor have all of their rows in one unit.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        Level of each row.
    member : ndarray of int, shape (n,)
        Unit of each row.
    n_levels : int

    Returns
    -------
    ndarray of bool, shape (n_levels,)
    """
    low = np.full(n_levels, np.iinfo(np.int64).max)
    high = np.full(n_levels, -1, dtype=np.int64)
    np.minimum.at(low, index, member)
    np.maximum.at(high, index, member)
    found: np.ndarray = low == high
    return found


def expected_seconds(
    family: Family,
    own: Mapping[str, np.ndarray],
    n_effects: Mapping[str, int],
    member: np.ndarray,
    n_draws: int,
) -> float:
    """Return about how long `integrated_log_density` takes.

    Parameters
    ----------
    family : Family
    own : mapping of str to ndarray of int, shape (n,)
    n_effects : mapping of str to int
        Number of effects of one level, by grouping factor.
    member : ndarray of int, shape (n,)
    n_draws : int
    """
    width = np.zeros(int(member.max()) + 1)
    for name, label in own.items():
        mine = label >= 0
        pairs = np.unique(np.stack([member[mine], label[mine]]), axis=1)
        np.add.at(width, pairs[0], n_effects[name])
    points = np.full(len(width), 2.0 * PAIRS)
    for d, nodes in NODES.items():
        points[width == d] = nodes**d
    evaluations = np.where(width == 0, 1.0, points + 12.0)
    total = float((evaluations * np.bincount(member)).sum()) * n_draws
    return total * (2e-8 if family.row_kernel else 6e-8) / (os.cpu_count() or 1)


def integrated_log_density(
    family: Family,
    parameters: ParameterDraws,
    rows: Rows,
    y: np.ndarray,
    member: np.ndarray,
    own: Mapping[str, np.ndarray],
    seed: int,
) -> np.ndarray:
    """Log density of the rows of each unit at each draw, its own effects integrated out.

    Parameters
    ----------
    family : Family
    parameters : ParameterDraws
    rows : Rows
    y : ndarray, shape (n,)
    member : ndarray of int, shape (n,)
        Unit of each row, from 0 without gaps.
    own : mapping of str to ndarray of int, shape (n,)
        By grouping factor, a number for the level of each row whose effects belong to
        its unit alone; -1 for rows whose level's effects are those of the draw.
    seed : int
        Seed of importance samples.

    Returns
    -------
    ndarray, shape (S, units)

    References
    ----------
    Pinheiro, J. C. and Bates, D. M. (1995). Approximations to the log-likelihood
    function in the nonlinear mixed-effects model. Journal of Computational and
    Graphical Statistics 4(1), 12-35.

    Merkle, E. C., Furr, D. and Rabe-Hesketh, S. (2019). Bayesian comparison of latent
    variable models: conditional versus marginal likelihoods. Psychometrika 84, 802-829.
    """
    refuse_student(parameters.scales, rows)
    order = np.argsort(member, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(member))])
    given = in_order(without_own(rows, own), order)
    linear = LinearDraws(parameters, given, seed)
    labels = {name: label[order] for name, label in own.items() if (label >= 0).any()}
    Z = {name: rows.Z[name][order] for name in labels}
    family_parameters = parameters.family_columns()
    y = y[order]
    thresholds = [parameters.family[name].shape[-1] for name in family.vector_parameters]
    compiled = compiled_rows(family, y, given.per_row, *thresholds)
    out = np.empty((parameters.n_draws, len(ends) - 1))

    def one_unit(unit: int) -> None:
        at = slice(int(ends[unit]), int(ends[unit + 1]))
        columns = _columns({name: (labels[name][at], Z[name][at]) for name in labels})
        n_effects = sum(part.n_columns for part in columns)
        per_row = {name: values[at] for name, values in given.per_row.items()}
        words = [seed, name_key("integrated effects"), unit]
        rng = np.random.default_rng(np.random.SeedSequence(words))
        eta = linear.block(at).T
        pilot = None
        size = max(1, _AT_ONCE // (eta.shape[1] * max(1, n_effects)))
        for start in range(0, len(eta), size):
            draws = np.arange(start, min(start + size, len(eta)))
            values = {name: v[draws] for name, v in family_parameters.items()}

            def log_prob(
                predictor: np.ndarray,
                some: np.ndarray | slice,
                values: Mapping[str, np.ndarray] = values,
            ) -> np.ndarray:
                chosen = {name: v[some] for name, v in values.items()}
                return family.log_prob(y[at], predictor, chosen, per_row)

            A = np.zeros((len(draws), eta.shape[1], n_effects))
            for part in columns:
                part.fill(A, parameters.scales[part.group].root[draws])
            if not n_effects:
                out[draws, unit] = log_prob(eta[draws], slice(None)).sum(axis=1)
                continue
            if compiled is not None and n_effects in NODES:
                phi = {name: v[draws] for name, v in parameters.family.items()}
                out[draws, unit], pilot = compiled.log_integral(at, eta[draws], A, phi, pilot)
                continue
            problem = EffectsIntegral(
                log_prob=log_prob, eta=eta[draws], A=A, step=difference_step(family)
            )
            out[draws, unit], pilot = problem.log_integral(pilot, rng)

    units = range(len(ends) - 1)
    with one_blas_thread(), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(one_unit, units):
            pass
    return out


def refuse_student(scales: Mapping[str, GroupScale], rows: Rows) -> None:
    """Refuse to integrate out effects that are not normal.

    Raises
    ------
    NotSupportedError
    """
    for name, index in rows.index.items():
        if scales[name].df is not None and (index < 0).any():
            raise NotSupportedError(
                f'the effects of `{name}` have dist="student" and are not integrated out over new '
                "levels; leave out rows, or groups of another factor"
            )


def without_own(rows: Rows, own: Mapping[str, np.ndarray]) -> Rows:
    """Leave effects that are integrated out at zero."""
    mixed = {}
    for name, index in rows.index.items():
        mine = own[name] >= 0 if name in own else np.zeros(len(index), dtype=bool)
        if not mine.all():
            Z = np.where(mine[:, None], 0.0, rows.Z[name])
            # Any level that has draws will do where its effects count for nothing.
            known = index[~mine & (index >= 0)]
            stand_in = known[0] if known.size else -1
            mixed[name] = (Z, np.where(mine, stand_in, index))
    return replace(
        rows,
        Z={name: Z for name, (Z, _) in mixed.items()},
        index={name: index for name, (_, index) in mixed.items()},
    )


def in_order(rows: Rows, order: np.ndarray) -> Rows:
    """The same rows in another order."""
    new_levels = {}
    for name, index in rows.index.items():
        labels = np.full(len(index), None, dtype=object)
        was_new = rows.index[name] < 0
        if len(rows.new_levels[name]) == was_new.sum():
            labels[was_new] = rows.new_levels[name]
        new_levels[name] = labels[order][was_new[order]]
    return replace(
        rows,
        X=rows.X[order],
        offset=None if rows.offset is None else rows.offset[order],
        Z={name: Z[order] for name, Z in rows.Z.items()},
        index={name: index[order] for name, index in rows.index.items()},
        new_levels=new_levels,
        labels=rows.labels[order],
        positions=rows.positions[order],
        per_row={name: values[order] for name, values in rows.per_row.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns of one level's effects among those of its unit."""

    group: str
    rows: np.ndarray
    Z: np.ndarray
    start: int

    @property
    def n_columns(self) -> int:
        return self.Z.shape[1]

    def fill(self, A: np.ndarray, root: np.ndarray) -> None:
        """Write z' root of each row, so that the effects are standard normals."""
        columns = np.arange(self.start, self.start + self.n_columns)
        A[:, self.rows[:, None], columns] = np.einsum("nk,skj->snj", self.Z, root)


def _columns(own: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[_Columns]:
    found, start = [], 0
    for name, (label, Z) in own.items():
        for level in np.unique(label[label >= 0]):
            rows = np.flatnonzero(label == level)
            found.append(_Columns(group=name, rows=rows, Z=Z[rows], start=start))
            start += Z.shape[1]
    return found
