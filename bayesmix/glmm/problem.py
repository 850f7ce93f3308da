"""A model beyond the normal as arrays: equations, rows, coordinates, priors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.design import LinearPredictor
from bayesmix.errors import NotApplicableError
from bayesmix.families.observation import is_plain
from bayesmix.gaussian.crossproducts import empty_equations, first_positions
from bayesmix.gaussian.linking import Kernel
from bayesmix.gaussian.problem import Problem
from bayesmix.gaussian.scaling import Scaling, column_transform, group_transform
from bayesmix.gaussian.structure import plan_elimination
from bayesmix.glmm.data import RowData
from bayesmix.glmm.parameters import ParameterCoordinates, parameter_prior_codes
from bayesmix.glmm.rows import LINKS, OBSERVED_KERNELS, ROW_KERNELS, constant, given_rows
from bayesmix.priors.model_priors import ModelPriors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmix.families import Family

__all__ = ["GlmmProblem", "build_glmm_problem"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GlmmProblem:
    """Everything that Laplace's approximation and the joint density need.

    Attributes
    ----------
    problem : Problem
        Layout of the equations, scaling and coordinates, as of a normal model with
        unit response scale; its products are scratch.
    rows : RowData
    parameters : tuple of str
        Names of the family's parameters.
    phi : ParameterCoordinates
        Their coordinates.
    row_kernel : str
        Name of the kernel of the rows.
    constant : float
        What the row kernels leave out of the log density.
    means : ndarray, shape (p,)
        Of the columns, which thresholds at the means lack of those of the formula: these are
        higher by means'beta. Zeros for other families.
    link_is_even : bool
        Whether a linear predictor and its negative have the same mean.
    link_unit : float
        Unit of the linear predictor, in which searches step.
    phi_start : ndarray
        Where searches start among the family's parameters.
    """

    problem: Problem
    rows: RowData
    parameters: tuple[str, ...]
    phi: ParameterCoordinates
    row_kernel: str
    constant: float
    means: np.ndarray
    link_is_even: bool
    link_unit: float
    phi_start: np.ndarray

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
        if self.rows.trials.ndim == 2:
            return OBSERVED_KERNELS[self.row_kernel]
        return ROW_KERNELS[self.row_kernel].kernel


def build_glmm_problem(
    predictor: LinearPredictor, family: Family, y: np.ndarray, rows: Mapping[str, np.ndarray],
    priors: ModelPriors, lengths: Mapping[str, int] | None = None,
) -> GlmmProblem:  # fmt: skip
    """Gather a model's arrays.

    Parameters
    ----------
    predictor : LinearPredictor
    family : Family
        One that has a row kernel.
    y : ndarray, shape (n,)
    rows : mapping of str to ndarray
        What is given per row.
    priors : ModelPriors
        For those of the family's parameters.
    lengths : mapping of str to int, optional
        Of those that are vectors.

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
    if not family.row_kernel:
        raise NotApplicableError(f"the rows of the family {family} have no compiled density")
    plan = plan_elimination(predictor.groups)
    order = (*plan.chain, *plan.rest)
    names = predictor.fixed_effects
    constant_column = names.index("Intercept") if predictor.has_intercept else None
    X_shift, X_scale, TX = column_transform(predictor.X, constant_column)
    Z = [group_transform(group) for group in predictor.groups]
    p = len(names)
    scaling = Scaling(
        TX=TX, TZ=tuple(T for _, _, T in Z), X_shift=X_shift, X_scale=X_scale,
        Z_shift=tuple(shift for shift, _, _ in Z), Z_scale=tuple(scale for _, scale, _ in Z),
        beta_0=np.zeros(p), y_scale=1.0,
    )  # fmt: skip
    equations = empty_equations(predictor, plan)
    groups = tuple(predictor.groups[k] for k in order)
    problem = Problem(
        equations=equations, plan=plan, scaling=scaling, groups=groups, residual=None,
        log_det=0.0,
    )  # fmt: skip
    n = predictor.n_obs
    first = first_positions(equations)
    q = equations.q
    columns = [
        (group.Z - scaling.Z_shift[k]) / scaling.Z_scale[k]
        for k, group in zip(order, groups, strict=True)
    ]
    phi = ParameterCoordinates.of(family.parameters, lengths or {})
    vectors = family.vector_parameters
    means = np.zeros(p)
    if vectors:
        rows = {**rows, "trials": np.full(n, 1.0 + phi.sizes[vectors[0]])}
        if priors.family[vectors[0]].origin == "default":
            means = np.asarray(predictor.means, dtype=np.float64)
            scaling = replace(scaling, X_shift=means)
    codes = [parameter_prior_codes(priors.family[name].prior) for name in phi.names]
    scale = family.response_scale(y, predictor.offset, rows)
    is_scale = [spec.is_scale for spec in family.parameters.values()]
    scale_at = is_scale.index(True) if any(is_scale) else -1
    phi_start = np.ones(len(phi))
    phi_start[[name in family.unit_parameters for name in phi.names]] = 0.5
    if vectors:
        phi_start = family.thresholds_start(y, len(phi))
    if scale_at >= 0:
        phi_start[scale_at] = scale.sd if family.link_functions.is_identity else scale.response_sd
    data = RowData(
        sizes=[n, p, int(q.sum()), len(phi), LINKS[family.link], scale_at],
        index=np.asarray([g.index + first[f] for f, g in enumerate(groups)]).reshape(-1, n),
        u_start=np.concatenate([[0], np.cumsum(q * equations.n_levels)]),
        z_start=np.concatenate([[0], np.cumsum(q)]),
        first=first,
        phi_kind=phi.kinds,
        prior_kind=[code[0] for code in codes],
        y=y,
        trials=rows.get("trials", np.ones(n)) if is_plain(rows) else given_rows(rows, n),
        offset=np.zeros(n) if predictor.offset is None else predictor.offset,
        X=((predictor.X - scaling.X_shift) / X_scale).T,
        Z=np.concatenate(columns, axis=1).T if columns else np.zeros((0, n)),
        prior_a=[code[1] for code in codes],
        prior_b=[code[2] for code in codes],
        prior_c=[code[3] for code in codes],
    )
    return GlmmProblem(
        problem=problem, rows=data, parameters=tuple(family.parameters), phi=phi,
        row_kernel=family.row_kernel,
        constant=float(constant(family.row_kernel, y, rows).sum()),
        means=means, link_is_even=family.link_functions.is_even, link_unit=scale.sd,
        phi_start=phi_start,
    )  # fmt: skip
