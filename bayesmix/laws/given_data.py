"""The group effects of a fit by Laplace's approximation, given the data and the estimates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesmix.gaussian.rowvariance import RowVariance, row_variance
from bayesmix.inference.announce import announce
from bayesmix.inference.effects_given_data import (
    Block,
    LogDensity,
    correct_draws,
    scalar_law,
)
from bayesmix.inference.variational import nearest_normal
from bayesmix.laws.levels import name_key
from bayesmix.laws.parameters import check_size
from bayesmix.laws.predictor import NODES, WEIGHTS
from bayesmix.laws.rows import Rows, rows_of_fit
from bayesmix.laws.stored_rows import PlainRows, rows_where, scalar_law_of_blocks

if TYPE_CHECKING:
    from bayesmix.design import Design
    from bayesmix.gaussian.conditional import Conditional
    from bayesmix.gaussian.coordinates import Coordinates
    from bayesmix.glmm.problem import GlmmProblem
    from bayesmix.inference.laplace import LaplaceOptimum
    from bayesmix.statement.stated import StatedModel

__all__ = ["EffectsGivenData"]

_AT_ONCE = 1_000_000  # rows x draws
_SLOW = 5_000_000  # rows x draws; longer than a few seconds
_MANY_ROWS = 10_000  # of which the nearest normal law takes seconds
_PART_ROWS = 200_000  # of a file, that are in memory while their levels' effects are drawn
_DRAWS = 1000  # where neither quadrature nor the nearest normal law is to be had

Mean = Callable[[np.ndarray], np.ndarray]


class _Mode(Protocol):
    """What is asked of the mode that the effects lie around."""

    gp: GlmmProblem
    co: Coordinates
    laplace: LaplaceOptimum
    conditional: Conditional
    model: StatedModel

    @property
    def row_model(self) -> StatedModel: ...

    @property
    def gp_by_row(self) -> GlmmProblem: ...

    @property
    def roots(self) -> Mapping[str, np.ndarray]: ...

    @property
    def phi(self) -> np.ndarray: ...

    @property
    def family_values(self) -> Mapping[str, np.ndarray]: ...

    @property
    def row_variance(self) -> RowVariance: ...

    def row_precision(self) -> np.ndarray: ...

    def means(self, rows: Rows) -> np.ndarray: ...


class EffectsGivenData:
    """The law of the effects given the data: expected means of rows, and draws.

    Where levels have a known covariance, expectations and draws are those of the nearest
    normal law. Under the links that leave some linear predictors without a mean (identity,
    inverse), expectations are taken at the modes.

    Parameters
    ----------
    law : LaplaceLaw
    """

    def __init__(self, law: _Mode) -> None:
        self._at = law
        self._groups = law.model.design.mu.groups
        self.roots: Mapping[str, np.ndarray] = law.roots

    def expected_mean(self, rows: Rows, mean: Mean) -> np.ndarray:
        """Expected mean of each row at the estimates, shape (n,).

        Parameters
        ----------
        rows : Rows
            With levels.
        mean : callable
            From the rows' linear predictors, shape (n,), to their means.
        """
        link = self._at.model.family.link_functions
        if not rows.index or link.is_identity or link.has_pole:
            return mean(self._at.means(rows))
        if self._is_scalar:
            return self._by_quadrature(rows, mean)
        if self._nearest is not None:
            return self._by_normal_law(rows, mean)
        return self._by_draws(rows, mean)

    def draw(
        self, levels: Mapping[str, np.ndarray], n_draws: int, seed: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Draw fixed effects from their normal distribution, and effects given them and the data.

        Along directions in which the likelihood is flat they stay at their estimates.

        Parameters
        ----------
        levels : mapping of str to ndarray of int
            By grouping factor, the levels whose effects are wanted.
        n_draws, seed : int

        Returns
        -------
        beta : ndarray, shape (p, S)
        b : dict of str to ndarray, shape (q, levels, S)
        """
        groups = self._groups if any(map(len, levels.values())) else ()
        # Levels of one factor do not know of each other; those of several do.
        needed = {
            g.name: levels[g.name] if len(groups) == 1 else np.arange(g.n_levels) for g in groups
        }
        check_size(sum(g.n_effects * len(needed[g.name]) for g in groups), n_draws)
        words = [seed, name_key("effects given the data")]
        rng = np.random.default_rng(np.random.SeedSequence(words))
        found = self._at.row_variance
        unit = {name: np.eye(len(root)) for name, root in self.roots.items()}
        beta, u = replace(found, roots=unit).draw(needed, n_draws, rng)
        beta += self._at.conditional.beta[:, None]
        n_rows = self._at.model.design.n_obs
        if groups and n_rows * n_draws > _SLOW:
            announce(f"Drawing effects given {n_rows} rows, {n_draws} draws ...", progress=True)
        center = self._modes
        if self._related and self._nearest is not None:
            center = self._nearest[0]
        for name, at in needed.items():
            u[name] = np.moveaxis(u[name], 0, 1) + center[name][at][:, :, None]
        if self._related:  # of related levels the nearest normal law, as it is
            b = {n: np.einsum("ik,gks->igs", self.roots[n], values) for n, values in u.items()}
        else:
            b = self._corrected(beta, u, needed, rng) if groups else {}
        return beta, {
            name: b[name] if len(groups) == 1 else b[name][:, at]
            for name, at in levels.items()
            if name in b
        }

    # -- inside ---------------------------------------------------------------

    @functools.cached_property
    def _design(self) -> Design:
        """The design of all rows, or of those that differ, in memory."""
        return self._at.row_model.design

    @property
    def _is_scalar(self) -> bool:
        groups = self._groups
        return len(groups) == 1 and groups[0].n_effects == 1 and not self._related

    @property
    def _related(self) -> bool:
        return any(group.between is not None for group in self._groups)

    @functools.cached_property
    def _rows(self) -> Rows:
        return rows_of_fit(self._at.row_model, "response")

    @functools.cached_property
    def _eta(self) -> np.ndarray:
        """Linear predictor at the modes."""
        return self._at.means(self._rows)

    @functools.cached_property
    def _fixed(self) -> np.ndarray:
        """Linear predictor without the effects, at the estimates."""
        return self._at.means(replace(self._rows, index={}))

    @functools.cached_property
    def _weights(self) -> np.ndarray:
        return self._at.row_precision()

    @functools.cached_property
    def _blocks(self) -> dict[str, Block]:
        return {
            g.name: Block(V=g.Z @ self.roots[g.name], index=g.index, n_levels=g.n_levels)
            for g in self._design.mu.groups
        }

    @functools.cached_property
    def _modes(self) -> dict[str, np.ndarray]:
        """Modes of u, which are least-norm where a root is singular, shape (G, q)."""
        b = self._at.conditional.b
        return {
            name: b[name] @ np.linalg.pinv(root, rcond=1e-10).T for name, root in self.roots.items()
        }

    def _log_density(self, eta: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        model, values = self._at.row_model, self._at.family_values
        some = slice(None) if rows is None else rows
        given = {name: column[some] for name, column in model.rows.items()}
        found = model.family.log_prob(model.y[some], eta.T, values, given)
        return np.asarray(found, dtype=np.float64).T

    @functools.cached_property
    def _law(self) -> tuple[np.ndarray, np.ndarray]:
        """Points of u and their probabilities, (G, K), of one effect a level."""
        (group,) = self._groups
        if self._at.gp.rows.is_stored:
            root = float(self.roots[group.name][0, 0])
            return scalar_law_of_blocks(self._at.gp, self._at.co, self._at.laplace, root)
        mode = self._modes[group.name][:, 0]
        block = self._blocks[group.name]
        return scalar_law(self._log_density, self._fixed, block, mode, self._weights)

    @functools.cached_property
    def _nearest(self) -> tuple[dict[str, np.ndarray], RowVariance] | None:
        law, n = self._at, self._at.row_model.design.n_obs
        if n > _MANY_ROWS:
            announce(f"Finding the law of the effects given {n} rows ...", progress=True)
        found = nearest_normal(
            law.gp_by_row,
            self._design.mu,
            self.roots,
            law.gp.phi.values(law.phi),
            self._fixed,
            self._modes,
        )
        if found is None and self._related:
            known = replace(self._design.mu, X=np.zeros((n, 0)))
            weights = np.maximum(self._weights, 0.0)
            return self._modes, row_variance(known, self.roots, weights, np.zeros((0, 0)))
        return found

    @functools.cached_property
    def _sampled(self) -> dict[str, np.ndarray]:
        """Draws of the effects at the estimates, shape (q, G, S)."""
        beta = np.repeat(self._at.conditional.beta[:, None], _DRAWS, axis=1)
        start = {
            name: np.repeat(values[:, :, None], _DRAWS, axis=2)
            for name, values in self._modes.items()
        }
        all_levels = {name: np.arange(len(values)) for name, values in start.items()}
        return self._corrected(beta, start, all_levels, np.random.default_rng(0))

    def _corrected(
        self, beta: np.ndarray, u: Mapping[str, np.ndarray], levels: Mapping[str, np.ndarray],
        rng: np.random.Generator,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Turn draws of u, (G, q, S), that are about right into draws of b, (q, G, S)."""
        names = list(u)
        if len(names) == 1 and self._at.gp.rows.is_stored:
            return self._corrected_in_parts(names[0], beta, u[names[0]], levels[names[0]], rng)
        design = self._design
        rows = np.arange(design.n_obs)
        blocks = [self._blocks[name] for name in names]
        if len(blocks) == 1:
            number = _numbers(levels[names[0]], blocks[0].n_levels)
            rows = np.flatnonzero(number[blocks[0].index] >= 0)
            blocks = [
                Block(
                    V=blocks[0].V[rows], index=number[blocks[0].index[rows]],
                    n_levels=len(levels[names[0]]),
                )
            ]  # fmt: skip
        offset = np.zeros(len(rows)) if design.mu.offset is None else design.mu.offset[rows]
        return self._corrected_of(
            lambda eta: self._log_density(eta, rows),
            lambda some: design.mu.X[rows] @ beta[:, some] + offset[:, None],
            dict(zip(names, blocks, strict=True)), u,
            {name: self._modes[name][levels[name]] for name in names}, self._eta[rows],
            self._weights[rows], rng,
        )  # fmt: skip

    def _corrected_in_parts(
        self, name: str, beta: np.ndarray, u: np.ndarray, levels: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """The same of rows on disk, some levels of the only factor at a time."""
        law, family = self._at, self._at.model.family
        n_levels = len(self._modes[name])
        out = np.empty((u.shape[1], len(u), u.shape[2]))
        rows_of = np.concatenate([[0], np.cumsum(self._rows_of_levels[levels])])
        start = 0
        while start < len(levels):
            room = rows_of[start] + _PART_ROWS
            stop = max(start + 1, int(np.searchsorted(rows_of, room, side="right")) - 1)
            some = levels[start:stop]
            number = _numbers(some, n_levels)
            piece = rows_where(law.gp, law.co, law.laplace, name, number >= 0)
            V, index = piece.Z[name] @ self.roots[name], number[piece.index[name]]

            def log_density(eta: np.ndarray, piece: PlainRows = piece) -> np.ndarray:
                given = {"trials": piece.at.rows.trials}
                found = family.log_prob(piece.at.rows.y, eta.T, law.family_values, given)
                return np.asarray(found, dtype=np.float64).T

            def fixed(draws: slice, piece: PlainRows = piece) -> np.ndarray:
                return np.asarray(piece.X @ beta[:, draws] + piece.at.rows.offset[:, None])

            own = self._corrected_of(
                log_density, fixed, {name: Block(V=V, index=index, n_levels=len(some))},
                {name: u[start:stop]}, {name: self._modes[name][some]}, piece.at.eta,
                piece.at.weights, rng,
            )  # fmt: skip
            out[:, start:stop] = own[name]
            start = stop
        return {name: out}

    @functools.cached_property
    def _rows_of_levels(self) -> np.ndarray:
        """Number of rows of each level of the only factor."""
        rows = self._at.gp.rows
        found = np.zeros(len(next(iter(self._modes.values()))), dtype=np.int64)
        for block in rows.blocks():
            found += np.bincount(block.index[0] - block.first[0], minlength=len(found))
        return found

    def _corrected_of(
        self, log_density: LogDensity, fixed: Callable[[slice], np.ndarray],
        blocks: Mapping[str, Block], u: Mapping[str, np.ndarray],
        modes: Mapping[str, np.ndarray], eta_mode: np.ndarray, weights: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, np.ndarray]:  # fmt: skip
        """Some draws at a time; `fixed` has the linear predictors without effects of these."""
        n_draws = next(iter(u.values())).shape[2]
        step = max(1, _AT_ONCE // max(1, len(eta_mode)))
        out = {name: np.empty((u[name].shape[1], len(u[name]), n_draws)) for name in u}
        for start in range(0, n_draws, step):
            some = slice(start, min(start + step, n_draws))
            found = correct_draws(
                log_density, fixed(some), list(blocks.values()),
                [u[name][:, :, some] for name in blocks], [modes[name] for name in blocks],
                eta_mode, weights, rng,
            )  # fmt: skip
            for name, values in zip(blocks, found, strict=True):
                out[name][:, :, some] = np.einsum("ik,gks->igs", self.roots[name], values)
        return out

    def _by_quadrature(self, rows: Rows, mean: Mean) -> np.ndarray:
        (name,) = rows.index
        u, probability = self._law
        index, v = rows.index[name], (rows.Z[name] @ self.roots[name])[:, 0]
        eta = self._at.means(replace(rows, index={}))
        seen, at = index >= 0, np.maximum(index, 0)
        total = np.zeros(len(eta))
        for k in range(u.shape[1]):
            total += probability[at, k] * mean(eta + v * u[at, k])
        if not seen.all():
            total = np.where(seen, total, _average(eta, np.abs(v), mean))
        return total

    def _by_normal_law(self, rows: Rows, mean: Mean) -> np.ndarray:
        assert self._nearest is not None  # noqa: S101
        u, covariance = self._nearest
        eta = self._at.means(replace(rows, index={}))
        variance = covariance.of_rows(np.zeros((rows.n_rows, 0)), rows.Z, rows.index)
        for name, index in rows.index.items():
            v = rows.Z[name] @ self.roots[name]
            at = u[name][np.maximum(index, 0)]
            eta = eta + np.where(index >= 0, np.einsum("nk,nk->n", v, at), 0.0)
            variance = variance + np.where(index >= 0, 0.0, np.einsum("nk,nk->n", v, v))
        return _average(eta, np.sqrt(variance), mean)

    def _by_draws(self, rows: Rows, mean: Mean) -> np.ndarray:
        eta = self._at.means(replace(rows, index={}))
        new = np.zeros(rows.n_rows)
        for name, index in rows.index.items():
            v = rows.Z[name] @ self.roots[name]
            new += np.where(index >= 0, 0.0, np.einsum("nk,nk->n", v, v))
        total = np.zeros(rows.n_rows)
        for s in range(_DRAWS):
            there = eta.copy()
            for name, index in rows.index.items():
                b = self._sampled[name][:, np.maximum(index, 0), s]
                there += np.where(index >= 0, np.einsum("nk,kn->n", rows.Z[name], b), 0.0)
            total += _average(there, np.sqrt(new), mean) if new.any() else mean(there)
        return total / _DRAWS


def _numbers(levels: np.ndarray, n_levels: int) -> np.ndarray:
    """Place of each level among some of them, -1 where it is none of these."""
    number = np.full(n_levels, -1, dtype=np.int64)
    number[levels] = np.arange(len(levels))
    return number


def _average(eta: np.ndarray, sd: np.ndarray, mean: Mean) -> np.ndarray:
    """Average of the means over normal linear predictors."""
    total = np.zeros(len(eta))
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        total += weight * mean(eta + node * sd)
    return total
