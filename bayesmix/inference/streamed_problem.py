"""The cross-products of rows that are read in batches: sums that merge."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.errors import DataError
from bayesmix.gaussian.crossproducts import add_rows, complete_root
from bayesmix.gaussian.empty_equations import empty_equations, first_positions
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.patterns import share_patterns
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.scaling import Scaling, column_transform, group_transform
from bayesmix.gaussian.structure import Elimination, plan_elimination
from bayesmix.residual import Residual
from bayesmix.streaming.rows import Batch

__all__ = ["Statistics", "row_precision", "statistics_maker", "streamed_problem"]


class Statistics:
    """Sums of products of working columns by level.

    Parameters
    ----------
    predictor : LinearPredictor
        With the levels that are met together in the place of the rows' levels.
    scaling : Scaling
    plan : Elimination
    """

    def __init__(self, predictor: LinearPredictor, scaling: Scaling, plan: Elimination) -> None:
        self._scaling, self._order = scaling, (*plan.chain, *plan.rest)
        self._equations = empty_equations(predictor, plan)
        self._first = first_positions(self._equations)

    def update(self, batch: Batch) -> Self:
        """Add the rows of a batch."""
        scaling, eq = self._scaling, self._equations
        X = np.ascontiguousarray((batch.X - scaling.X_shift) / scaling.X_scale)
        r = batch.z / scaling.y_scale - X @ scaling.beta_0
        n = len(r)
        Z = np.empty((n, int(eq.q.sum())))
        index = np.empty((len(eq.q), n), dtype=np.int64)
        column = 0
        for f, k in enumerate(self._order):
            end = column + int(eq.q[f])
            np.subtract(batch.Z[k], scaling.Z_shift[k], out=Z[:, column:end])
            Z[:, column:end] /= scaling.Z_scale[k]
            np.add(batch.index[k], self._first[f], out=index[f])
            column = end
        add_rows(eq.ints, eq.floats, n, X, r, row_precision(batch, n), Z, index)
        return self

    def merge(self, other: Statistics) -> Self:
        """Add the rows of other statistics of the same model."""
        self._equations.floats[:] += other._equations.floats
        return self

    def restore(self, products: np.ndarray) -> Self:
        """Take the products of all rows, as they are laid out here.

        Raises
        ------
        DataError
            If they are of another model, or no numbers.
        """
        own = self._equations.floats
        if products.shape != own.shape or not np.isfinite(products).all():
            raise DataError(
                f"the cross-products are {products.size} numbers, and the model has {own.size}"
            )
        own[:] = products
        return self

    @property
    def products(self) -> np.ndarray:
        """The products so far, as they are laid out here."""
        return self._equations.floats

    def with_products(self, products: np.ndarray) -> Equations:
        """Return equations of these products, which are those of some rows of the same model."""
        eq = self._equations
        made = eq.replace(**{})
        made.floats[:] = products
        complete_root(made, made.floats)
        return made

    def finalize(self) -> Equations:
        """Return the equations; nothing can be added any more."""
        complete_root(self._equations, self._equations.floats)
        return self._equations


def row_precision(batch: Batch, n: int) -> np.ndarray:
    """Precision of each row relative to 1 / sigma^2, shape (n,); absolute where it is known."""
    for argument, values in batch.beside.items():
        return values if argument == "weights" else values**-2.0
    return np.ones(n)


def streamed_problem(predictor: LinearPredictor, streamed: Any, residual: Residual) -> Problem:
    """Gather the cross-products of a normal model in one more pass over its rows.

    Parameters
    ----------
    predictor : LinearPredictor
        Whose columns are `Summed`.
    streamed : Streamed
    residual : Residual
        One without parameters but sigma.

    Returns
    -------
    Problem
        As `build_problem` would make of the rows.
    """
    scaling = _scaling(predictor, streamed)
    make, plan = statistics_maker(predictor, streamed, scaling)
    known = streamed.products
    statistics = streamed.gather(make) if known is None else make().restore(known)
    equations = statistics.finalize()
    streamed.products = equations.floats
    return Problem(
        equations=share_patterns(equations),
        plan=plan,
        scaling=scaling,
        groups=tuple(predictor.groups[k] for k in (*plan.chain, *plan.rest)),
        residual=residual,
        log_det=streamed.log_weights,
    )


def statistics_maker(
    predictor: LinearPredictor, streamed: Any, scaling: Scaling
) -> tuple[Callable[[], Statistics], Elimination]:
    """Return what makes `Statistics` of no rows, and the order of elimination.

    Parameters
    ----------
    predictor : LinearPredictor
        Whose columns are `Summed`.
    streamed : Streamed
    scaling : Scaling
    """
    met = replace(
        predictor,
        groups=tuple(
            replace(group, index=index)
            for group, index in zip(predictor.groups, streamed.combinations, strict=True)
        ),
    )
    plan = plan_elimination(met.groups)
    return functools.partial(Statistics, met, scaling, plan), plan


def _scaling(predictor: LinearPredictor, streamed: Any) -> Scaling:
    """Shifts, scales and least squares, of sums in the place of rows: see `scale_design`."""
    names, triangle, kept = predictor.fixed_effects, streamed.triangle, streamed.kept
    constant = names.index("Intercept") if predictor.has_intercept else None
    shift, scale, TX = column_transform(predictor.X, constant)
    Z = [group_transform(group) for group in predictor.groups]
    every = np.zeros(len(triangle.shift)), np.ones(len(triangle.shift))
    every[0][kept], every[1][kept] = shift, scale
    R = triangle.columns(*every)[:, kept]
    y, p = triangle.response, len(kept)
    beta_0 = np.linalg.lstsq(R, y, rcond=1e-12)[0] if p else np.zeros(0)
    residual = float(((y - R @ beta_0) ** 2).sum())
    total = float(((y + triangle.y_shift * triangle.R[:, 0]) ** 2).sum())
    if constant is not None:
        beta_0[constant] += triangle.y_shift
    y_scale = float(np.sqrt(max(residual, 1e-24 * total) / predictor.n_obs)) or 1.0
    return Scaling(
        TX=TX,
        TZ=tuple(T for _, _, T in Z),
        X_shift=shift,
        X_scale=scale,
        Z_shift=tuple(shift for shift, _, _ in Z),
        Z_scale=tuple(scale for _, scale, _ in Z),
        beta_0=beta_0 / y_scale,
        y_scale=y_scale,
    )
