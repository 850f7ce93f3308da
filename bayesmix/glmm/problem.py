"""A model beyond the normal as arrays: equations, rows, coordinates, priors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.errors import NotApplicableError
from bayesmix.families.observation import is_plain
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.empty_equations import empty_equations, first_positions
from bayesmix.gaussian.linking import Kernel
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.scaling import Scaling
from bayesmix.gaussian.structure import plan_elimination
from bayesmix.glmm.data import RowData
from bayesmix.glmm.parameters import ParameterCoordinates, parameter_prior_codes
from bayesmix.glmm.rows import (
    JOINT_KERNELS,
    OBSERVED_KERNELS,
    ROW_KERNELS,
    constant,
    counted_rows,
    given_rows,
    packed_links,
)
from bayesmix.glmm.stack import Stack, stacked
from bayesmix.glmm.stored import StoredRows
from bayesmix.priors.model_priors import ModelPriors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmix.families import Family

__all__ = ["GlmmProblem", "Pack", "build_glmm_problem", "kernel_name", "kernel_trials"]


# Takes a predictor with rows, its offset, responses and what is given per row.
Pack = Callable[[LinearPredictor, np.ndarray, np.ndarray, "Mapping[str, np.ndarray]"], RowData]


class Table(Protocol):
    """Rows that stand for all of the data, where these are read in batches."""

    @property
    def predictor(self) -> LinearPredictor:
        """The linear predictor, with the levels that are met together."""

    @property
    def rises(self) -> np.ndarray | None:
        """Which way their likelihood rises for ever, unless they have to be asked."""

    @property
    def constant(self) -> float:
        """What kernels leave out of it."""

    def packed(self, pack: Pack) -> RowData | StoredRows:
        """Make the arrays of kernels of them."""


def kernel_name(family: Family) -> str:
    """Name of the kernels of a family's rows."""
    return family.row_kernel


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GlmmProblem:
    """Everything that Laplace's approximation and the joint density need.

    Attributes
    ----------
    problem : Problem
        Layout of the equations, scaling and coordinates, as of a normal model with
        unit response scale; its products are scratch.
    rows : RowData or StoredRows
    parameters : tuple of str
        Names of the family's parameters.
    phi : ParameterCoordinates
        Their coordinates.
    row_kernel : str
        Name of the kernel of the rows.
    constant : float
        What the row kernels leave out of the log density.
    means : ndarray, shape (p,)
        Means of the columns, which thresholds at the means lack of the formula's: these are
        higher by means'beta. Zeros for other families.
    link_is_even : bool
        Whether a linear predictor and its negative have the same mean.
    link_unit : float
        Unit of mu's linear predictor, in which searches step; that of others is 1.
    stack : Stack
        The linear predictors.
    starts : dict of str to float
        Where searches start with each linear predictor but mu's.
    row_of : ndarray of int, shape (n,), or None
        The row here that each row of the data is part of, where rows that are alike are one.
    phi_start : ndarray
        Where searches start among the family's parameters.
    rises : ndarray, shape (n,), or None
        Which way the likelihood of each row rises for ever, where the data have no rows to ask.
    """

    problem: Problem
    rows: RowData | StoredRows
    parameters: tuple[str, ...]
    phi: ParameterCoordinates
    row_kernel: str
    constant: float
    means: np.ndarray
    link_is_even: bool
    link_unit: float
    phi_start: np.ndarray
    stack: Stack
    starts: dict[str, float]
    row_of: np.ndarray | None = None
    rises: np.ndarray | None = None

    def of_rows(self, rises: np.ndarray) -> np.ndarray:
        """Bring which way each row of the data rises to the rows here: 0 where they differ.

        NaN where all of them say nothing.
        """
        if self.row_of is None:
            return rises
        n, says = self.rows.n_obs, ~np.isnan(rises)
        counts = np.bincount(self.row_of[says], minlength=n)
        summed = np.bincount(self.row_of[says], rises[says], minlength=n)
        found = np.where(np.abs(summed) == counts, np.sign(summed), 0.0)
        return np.where(counts > 0, found, np.nan)

    @property
    def known(self) -> dict[str, Any]:
        """What the last passes over rows on disk have found; those in memory are not asked."""
        return self.rows.known if isinstance(self.rows, StoredRows) else {}

    @property
    def n_effects(self) -> int:
        """Number of group effects."""
        return int(self.rows.u_start[-1])

    def address(self) -> int:
        """Return the address of the family's row kernel, loaded if need be."""
        address: int = self.kernel.load().address
        return address

    def parameter_values(self, x: np.ndarray, beta: np.ndarray) -> dict[str, np.ndarray]:
        """Return the family's parameters of the formula, by name.

        Parameters
        ----------
        x : ndarray, shape (..., n_phi)
            Their coordinates.
        beta : ndarray, shape (..., p)
            Fixed effects of the formula.
        """
        values = self.phi.values(x)
        if self.means.any():
            values = values + (beta @ self.means)[..., None]
        return self.phi.split(values)

    @property
    def kernel(self) -> Kernel:
        """The kernel of the rows."""
        if self.rows.header.trials.ndim == 2:  # for any number of predictors
            return OBSERVED_KERNELS[self.row_kernel]
        if self.rows.n_predictors > 1:
            return JOINT_KERNELS[self.row_kernel]
        return ROW_KERNELS[self.row_kernel].kernel

    def coordinates(self, priors: ModelPriors) -> Coordinates:
        """Coordinates of theta, with the priors of a model."""
        return self.problem.coordinates(self.stack.priors(priors))

    def fixed_prior(self, priors: ModelPriors) -> FixedPrior:
        """Prior of the working fixed effects of all predictors."""
        return self.stack.fixed_prior(self.problem, priors)

    @property
    def units(self) -> np.ndarray:
        """Unit of each linear predictor, in which searches step, shape (m,)."""
        return np.asarray([self.link_unit] + [1.0] * (self.rows.n_predictors - 1))

    def sd_units(self, co: Coordinates) -> np.ndarray:
        """Unit of the predictor that each standard deviation belongs to, shape (n_sd,)."""
        return self.units[self.rows.Z_of[co.effect_of_sd]]


def build_glmm_problem(
    predictors: Mapping[str, LinearPredictor], family: Family, y: np.ndarray,
    rows: Mapping[str, np.ndarray], priors: ModelPriors,
    lengths: Mapping[str, int] | None = None, table: Table | None = None,
) -> GlmmProblem:  # fmt: skip
    """Gather a model's arrays.

    Parameters
    ----------
    predictors : mapping of str to LinearPredictor
        By parameter, "mu" first.
    family : Family
        One that has a row kernel for these.
    y : ndarray, shape (n,), or (n, K) of counts of categories
    rows : mapping of str to ndarray
        What is given per row; the weights of normal responses stand for trials.
    priors : ModelPriors
        For those of the family's parameters.
    lengths : mapping of str to int, optional
        Those that are vectors.
    table : RowTable, optional
        The rows, where predictors, response and what is given per row are sums.

    Returns
    -------
    GlmmProblem

    Raises
    ------
    NotApplicableError
        If the family has no kernel of its rows.
    NotSupportedError
        If crossed grouping factors are too large for the algebra.
    """
    # Kernels take predictors in the order of the family's parameters.
    order_of = [name for name in ("mu", *family.parameters) if name in predictors]
    predictors = {name: predictors[name] for name in order_of}
    stack, name = stacked(predictors), kernel_name(family)
    if name not in (ROW_KERNELS if len(predictors) == 1 else JOINT_KERNELS):
        raise NotApplicableError(f"the rows of the family {family} have no compiled density")
    predictor, mu = stack.whole, predictors["mu"]
    if table is not None:
        predictor = table.predictor
    plan = plan_elimination(predictor.groups)
    order = (*plan.chain, *plan.rest)
    X_shift, X_scale, TX = stack.column_transform()
    Z = [stack.group_transform(k) for k in range(len(predictor.groups))]
    p = len(predictor.fixed_effects)
    scaling = Scaling(
        TX=TX, TZ=tuple(T for _, _, T in Z), X_shift=X_shift, X_scale=X_scale,
        Z_shift=tuple(shift for shift, _, _ in Z), Z_scale=tuple(scale for _, scale, _ in Z),
        beta_0=np.zeros(p), y_scale=1.0,
    )  # fmt: skip
    equations = empty_equations(predictor, plan)
    equations.n_obs = mu.n_obs
    groups = tuple(predictor.groups[k] for k in order)
    problem = Problem(
        equations=equations, plan=plan, scaling=scaling, groups=groups, residual=None,
        log_det=0.0,
    )  # fmt: skip
    n = predictor.n_obs
    first = first_positions(equations)
    q = equations.q
    constants = {k: spec for k, spec in family.parameters.items() if k not in predictors}
    phi = ParameterCoordinates.of(constants, lengths or {})
    vectors = family.vector_parameters
    means = np.zeros(p)
    if vectors:
        rows = {**rows, "trials": np.full(n, 1.0 + phi.sizes[vectors[0]])}
        if priors.family[vectors[0]].origin == "default":
            X_shift = X_shift.copy()
            X_shift[stack.columns["mu"]] = means[stack.columns["mu"]] = mu.means
            scaling = replace(scaling, X_shift=X_shift)
    codes = [parameter_prior_codes(priors.family[name].prior) for name in phi.names]
    scale = family.response_scale(y, mu.offset, rows)
    scale_sd = scale.sd if family.link_functions.is_identity else scale.response_sd
    is_scale = [spec.is_scale for spec in constants.values()]
    scale_at = is_scale.index(True) if any(is_scale) else -1
    phi_start = np.ones(len(phi))
    phi_start[[name in family.unit_parameters for name in phi.names]] = 0.5
    if vectors:
        phi_start = family.thresholds_start(y, len(phi))
    if scale_at >= 0:
        phi_start[scale_at] = scale_sd
    starts = family.parameter_starts(y)
    for k, own in enumerate(phi.names):
        phi_start[k] = starts.get(own, phi_start[k])
    others = [k for k in predictors if k != "mu"]
    scale_of = [1 + j for j, k in enumerate(others) if family.parameters[k].is_scale]
    links = {k: family.parameter_link(k).name if k in predictors else None
             for k in family.parameters}  # fmt: skip
    parameter_of = [stack.columns_of[k] for k in order]
    u_start = np.concatenate([[0], np.cumsum(q * equations.n_levels)])

    def pack(
        own: LinearPredictor, offset: np.ndarray, y: np.ndarray, rows: Mapping[str, np.ndarray]
    ) -> RowData:
        n = len(own.X)
        columns = [(own.groups[k].Z - scaling.Z_shift[k]) / scaling.Z_scale[k] for k in order]
        return RowData(
            sizes=[
                n,
                p,
                int(q.sum()),
                len(phi),
                # Predictors of categories are as many as there are, and all on one scale.
                0 if family.is_nominal else packed_links(family.link, links),
                scale_at,
                len(predictors),
                scale_of[0] if scale_of else -1,
            ],
            index=np.asarray([own.groups[k].index + first[f] for f, k in enumerate(order)]).reshape(
                -1, n
            ),
            u_start=u_start,
            z_start=np.concatenate([[0], np.cumsum(q)]),
            first=first,
            phi_kind=phi.kinds,
            X_of=stack.X_of,
            Z_of=np.concatenate(parameter_of) if parameter_of else np.zeros(0),
            prior_kind=[code[0] for code in codes],
            y=y.sum(axis=1) if family.has_counts else y,
            trials=kernel_trials(family, y, rows, len(predictors)),
            offset=offset,
            X=((own.X - X_shift) / X_scale).T,
            Z=np.concatenate(columns, axis=1).T if columns else np.zeros((0, n)),
            prior_a=[code[1] for code in codes],
            prior_b=[code[2] for code in codes],
            prior_c=[code[3] for code in codes],
        )

    data = pack(predictor, stack.offset, y, rows) if table is None else table.packed(pack)
    return GlmmProblem(
        problem=problem, rows=data, parameters=tuple(constants), phi=phi, row_kernel=name,
        constant=_constant(name, y, rows) if table is None else table.constant,
        means=means, link_is_even=family.link_functions.is_even, link_unit=scale.sd,
        phi_start=phi_start, stack=stack,
        starts={k: _start(family, k, y, scale_sd) for k in others},
        rises=None if table is None else table.rises,
    )  # fmt: skip


def _constant(name: str, y: np.ndarray, rows: Mapping[str, np.ndarray]) -> float:
    """What the kernel leaves out of the log density of all rows."""
    return float(constant(name, y, rows).sum()) if name in ROW_KERNELS else 0.0


def kernel_trials(
    family: Family, y: np.ndarray, rows: Mapping[str, np.ndarray], n_predictors: int = 1
) -> np.ndarray:
    """What kernels are given per row in the place of the trials, shape (n,) or (n, width).

    Parameters
    ----------
    family : Family
    y : ndarray, shape (n,) or (n, K)
    rows : mapping of str to ndarray, shape (n,)
        Where the family has thresholds, "trials" is one more than there are.
    n_predictors : int
        One less than there are categories, where these have no order.
    """
    if family.has_counts:
        return counted_rows(y, rows)
    if family.is_nominal:
        rows = {**rows, "trials": np.full(len(y), 1.0 + n_predictors)}
    if not is_plain(rows):
        return given_rows(rows, len(y))
    return np.asarray(rows.get("trials", rows.get("weights", np.ones(len(y)))))


def _start(family: Family, parameter: str, y: np.ndarray, scale: float) -> float:
    """Where the linear predictor of a parameter starts."""
    spec = family.parameters[parameter]
    value = scale if spec.is_scale else 1.0
    if spec.support == "unit":  # the probability of zeros, as far as there are any
        value = 0.7 * float(np.clip(np.mean(y == 0), 0.05, 0.95))
    return float(family.parameter_link(parameter).forward(np.asarray(value)))
