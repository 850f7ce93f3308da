"""Leaving out groups of rows that are read in batches: by sums, with all effects integrated out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.errors import DataError, NotSupportedError
from bayesmix.gaussian.leave_group_out import (
    add_own_products,
    constants_of_groups,
    log_density_by_level,
    log_density_without,
)
from bayesmix.inference.announce import announce
from bayesmix.inference.problems import gaussian_problem, model_of_rows
from bayesmix.inference.streamed_problem import row_precision, statistics_maker
from bayesmix.memory import check_memory
from bayesmix.results.check.loo import group_log_density, thetas
from bayesmix.results.predict.left_over import values_to_group_by
from bayesmix.streaming import batches_again
from bayesmix.threads import one_blas_thread

if TYPE_CHECKING:
    from bayesmix.gaussian.density import FixedPrior
    from bayesmix.gaussian.equations import Equations
    from bayesmix.gaussian.problem import Problem
    from bayesmix.inference.streamed_problem import Statistics
    from bayesmix.laws.draws import DrawsLaw
    from bayesmix.streaming.rows import Batch

__all__ = ["streamed_groups"]

_HELD = 25_000_000  # numbers of the equations of groups that are held at once
_MOST_VALUES = 1_000_000  # of a column


def streamed_groups(
    law: DrawsLaw, by: Any, data: Any = None
) -> tuple[str, np.ndarray, np.ndarray, str]:
    """Log density of each group's rows with the effects integrated out, as in memory.

    The levels of the only grouping factor take one more pass over the rows, and any other
    groups one for as many as memory holds at once.

    Parameters
    ----------
    law : DrawsLaw
    by : str
        A grouping factor, or a column that the formula uses.
    data : any, optional
        Where the rows are, if the fit does not know it.

    Returns
    -------
    name : str
    labels : ndarray of object, shape (m,)
    log_lik : ndarray, shape (chains, draws, m)
    key : str
        Stands for the responses and the groups, as `data_key` does in memory.

    Raises
    ------
    NotSupportedError
        For single rows, and groups that are given as an array.
    DataError
        If there is no such grouping factor or column, or only one group.
    """
    design = law.model.design
    if not isinstance(by, str):
        what = "loo() leaves out each row" if by is None else "loo(by=array) has a group per row"
        known = [group.name for group in design.mu.grouping]
        raise NotSupportedError(
            f"{what}, and the {design.n_obs:,} rows of {design.streamed.name} are read in batches: "
            f"leave out groups, by a grouping factor ({', '.join(known) or 'there is none'}) or a "
            "column of the formula, or read the columns that the model uses into a frame, all rows "
            "or some of them, and fit the model to that"
        )
    groups = _Groups(law, by, data)
    if not law.model.family.is_linear_normal:
        return by, groups.labels, _integrated(law, by, groups), groups.key
    problem = gaussian_problem(law.model)
    X = thetas(law, problem)
    prior = problem.fixed_prior(design.mu, law.model.prior_entries.mu)
    with one_blas_thread(), np.errstate(all="ignore"):
        if len(problem.groups) == 1 and problem.groups[0].name == by:
            found, sizes, log_weights = _by_level(groups, problem, prior, X)
        else:
            found, sizes, log_weights = _by_removal(groups, problem, prior, X)
    found = found + constants_of_groups(problem, found, sizes, log_weights)
    return by, groups.labels, found.reshape(*law.beta.shape[:2], -1), groups.key


def _integrated(law: DrawsLaw, by: str, groups: _Groups) -> np.ndarray:
    """Beyond the normal, by the rows that stand for all: groups have to be a factor's levels."""
    at = values_to_group_by(law.model.design, by)
    if at is None:
        known = [group.name for group in law.model.design.mu.grouping]
        raise NotSupportedError(
            f"loo(by={by!r}) of the family {law.model.family} goes by the rows that differ, of "
            f"which the levels of {', '.join(known) or 'no grouping factor'} are known and other "
            "columns are not; leave out by these, or fit the model to a frame"
        )
    for _ in groups:  # which levels rows have is part of the key
        pass
    model = model_of_rows(law.model)
    return group_log_density(law.at_rows(model, 0), model.design.mu.groups[at].index)


class _Groups:
    """Which group each row is in: one pass for their labels, and one for each use."""

    def __init__(self, law: DrawsLaw, by: str, data: Any) -> None:
        self._design, self._by, self._data = law.model.design, by, data
        self._digest = hashlib.sha256()
        self._at = values_to_group_by(self._design, by)
        self._counted = False
        values: dict[str, None] = {}
        for batch in batches_again(self._design, data):
            self._digest.update(np.ascontiguousarray(batch.y).tobytes())
            if self._at is None:
                column = batch.frame[by].astype(object)
                values |= dict.fromkeys(pd.unique(column.astype(str)))
                if len(values) > _MOST_VALUES:
                    raise DataError(f"`{by}` has over {_MOST_VALUES:,} values: leave out by others")
        if self._at is None:
            self.labels = np.asarray(sorted(values), dtype=object)
        else:
            self.labels = self._design.mu.groups[self._at].levels.labels
        if len(self.labels) < 2:
            raise DataError(f"by={by!r} has one group only: nothing is left to learn from")

    @property
    def predictor(self) -> Any:
        """The linear predictor of the mean, whose columns are sums."""
        return self._design.mu

    @property
    def streamed(self) -> Any:
        """What is known of the rows."""
        return self._design.streamed

    @property
    def n_obs(self) -> int:
        """Number of rows."""
        return self._design.n_obs

    @property
    def key(self) -> str:
        """What stands for responses and groups, after the groups were gone through."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[tuple[Batch, np.ndarray]]:
        """Read the rows with the group of each."""
        place = pd.Index(self.labels)
        for batch in batches_again(self._design, self._data):
            if self._at is None:
                member = place.get_indexer(batch.frame[self._by].astype(object).astype(str))
                if member.min(initial=0) < 0:
                    raise DataError(f"`{self._by}` changed while the rows were read")
            else:
                member = batch.index[self._at]
            member = member.astype(np.int64)
            if not self._counted:
                self._digest.update(member.tobytes())
            yield batch, member
        self._counted = True


def _by_level(
    groups: _Groups, problem: Problem, prior: FixedPrior, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m, k = len(groups.labels), problem.n_fixed + 1
    check_memory(
        f"sums of {m:,} groups of {k} columns", 4 * m * k**2, "leave out by a coarser column"
    )
    own, sizes, log_weights = np.zeros((m, k, k)), np.zeros(m, dtype=np.int64), np.zeros(m)
    for batch, member in groups:
        weights = row_precision(batch, len(member))
        add_own_products(own, problem, batch.X, batch.z, weights, member)
        sizes += np.bincount(member, minlength=m)
        log_weights += np.bincount(member, np.log(weights), minlength=m)
    return log_density_by_level(problem, prior, X, own, sizes), sizes, log_weights


def _by_removal(
    groups: _Groups, problem: Problem, prior: FixedPrior, X: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    make, _ = statistics_maker(groups.predictor, groups.streamed, problem.scaling)
    m, size = len(groups.labels), len(make().finalize().floats)
    at_once = int(np.clip(_HELD // size, 1, m))
    passes = -(-m // at_once)
    announce(
        f"Leaving out {m} groups at {len(X)} draws, in {passes} passes over the rows ...",
        progress=passes > 1 or m * len(X) > 100_000,
    )
    parts, sizes, log_weights = [], np.zeros(m, dtype=np.int64), np.zeros(m)
    for start in range(0, m, at_once):
        held = range(start, min(start + at_once, m))
        own, rest = {g: make() for g in held}, make()
        for batch, member in groups:
            if start == 0:
                sizes += np.bincount(member, minlength=m)
                precision = np.log(row_precision(batch, len(member)))
                log_weights += np.bincount(member, precision, minlength=m)
            inside = (member >= held.start) & (member < held.stop)
            rest.update(batch.take(np.flatnonzero(~inside)))
            for g in np.unique(member[inside]).tolist():
                own[g].update(batch.take(np.flatnonzero(member == g)))
        without = _Without([own[g] for g in held], rest, groups.n_obs - sizes[held.start :])
        found = log_density_without(problem, prior, X, range(len(held)), without)
        parts.append(found)
    return np.concatenate(parts, axis=1), sizes, log_weights


class _Without:
    """Equations of all rows but those of one group, by sums: nothing is subtracted.

    Parameters
    ----------
    own : list of Statistics
        Those of each group.
    rest : Statistics
        Those of the rows that are in none of these.
    n_left : ndarray of int
        Rows that each of the groups leaves.
    """

    def __init__(self, own: list[Statistics], rest: Statistics, n_left: np.ndarray) -> None:
        self._n_left = n_left
        self._before, self._behind = [rest.products.copy()], [np.zeros_like(rest.products)]
        for one in own[:-1]:
            self._before.append(self._before[-1] + one.products)
        for one in own[:0:-1]:
            self._behind.append(self._behind[-1] + one.products)
        self._behind.reverse()
        self._empty = rest

    def __call__(self, g: int) -> Equations:
        equations = self._empty.with_products(self._before[g] + self._behind[g])
        equations.n_obs = int(self._n_left[g])
        return equations
