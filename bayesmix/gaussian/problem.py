"""A normal model as arrays: equations, coordinates and priors in working units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayesmix.covariance import Covariance, Part, covariance_of
from bayesmix.design import GroupingFactor, LinearPredictor
from bayesmix.gaussian import coordinates as codes
from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.crossproducts import build_equations
from bayesmix.gaussian.density import FixedPrior
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.patterns import share_patterns
from bayesmix.gaussian.residual_coordinates import NORMAL, VINE, phi_coordinates
from bayesmix.gaussian.scaling import Scaling, scale_design
from bayesmix.gaussian.structure import Elimination, plan_elimination
from bayesmix.gaussian.structured_problem import structured_equations
from bayesmix.gaussian.turned import may_be_turned, turned_equations
from bayesmix.priors.distributions import check_sizes, standard_parameters
from bayesmix.priors.model_priors import ModelPriors, PredictorPriors, PriorInForce
from bayesmix.priors.prior import Prior
from bayesmix.residual import Independent, Residual, ResidualParameter, Rows, RowScale

__all__ = [
    "Problem", "build_problem", "scale_prior_codes", "unsupported_priors", "working_prior",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Problem:
    """Everything that the algebra of one normal model needs; no row of the data.

    Attributes
    ----------
    equations : Equations
    plan : Elimination
    scaling : Scaling
    groups : tuple of GroupingFactor
        In the order of the equations: the chain, then the rest.
    residual : Residual or None
        None beyond the normal, where the rows' weights take its place.
    log_det : float
        Log determinant of what the rows' weights are to R^-1.
    scale : RowScale or None
        Standard deviations of rows, where they have a predictor or are the structure's own.
    turn : ndarray, shape (G, G), optional
        What makes b of the one factor's levels of that in the equations, where these are
        turned.
    """

    equations: Equations
    plan: Elimination
    scaling: Scaling
    groups: tuple[GroupingFactor, ...]
    residual: Residual | None
    log_det: float
    scale: RowScale | None = None
    turn: np.ndarray | None = None
    # Coordinates without priors, which nothing changes and a fit asks for several times.
    _made: dict[str, Coordinates] = field(default_factory=dict, init=False, compare=False)

    @property
    def sigma_is_known(self) -> bool:
        """Whether there is no one sigma: it is known, or has other parameters."""
        if self.residual is None or self.scale is not None:
            return True
        return not self.residual.estimates_sigma

    @property
    def known_precision(self) -> float:
        """What M counts in working units where there is no sigma; 0 where there is one."""
        return self.scaling.y_scale**2 if self.sigma_is_known else 0.0

    @property
    def phi(self) -> tuple[ResidualParameter, ...]:
        """The parameters of R beside sigma: of the rows' scale, then of the structure."""
        if self.residual is None:
            return ()
        return (*(self.scale.parameters if self.scale else ()), *self.residual.parameters)

    @property
    def n_obs(self) -> int:
        """Number of rows."""
        return self.equations.n_obs

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects p."""
        return self.equations.n_fixed

    def relative_coordinates(self) -> Coordinates:
        """Coordinates of the standard deviations relative to sigma, without priors."""
        if "relative" not in self._made:
            unit = self.scaling.y_scale if self.sigma_is_known else 1.0
            self._made["relative"] = _coordinates(self, None, with_sigma=False, unit=unit)
        return self._made["relative"]

    def absolute_coordinates(self) -> Coordinates:
        """Coordinates of theta on the scale of the data, without priors."""
        if "absolute" not in self._made:
            own = self.relative_coordinates()
            self._made["absolute"] = own if self.sigma_is_known else own.with_sigma()
        return self._made["absolute"]

    def criterion_offset(self, *, reml: bool) -> float:
        """What working columns and units take off a deviance."""
        n = self.n_obs - (self.n_fixed if reml else 0)
        offset = 2.0 * n * float(np.log(self.scaling.y_scale)) - self.log_det
        if reml:
            offset += 2.0 * float(np.linalg.slogdet(self.scaling.TX)[1])
        return offset

    def coordinates(self, priors: ModelPriors) -> Coordinates:
        """Coordinates of theta on the scale of the data, with the priors in force."""
        return _coordinates(
            self, priors, with_sigma=not self.sigma_is_known, unit=self.scaling.y_scale
        )

    def fixed_prior(self, predictor: LinearPredictor, priors: PredictorPriors) -> FixedPrior:
        """Prior of the working fixed effects."""
        scaling = self.scaling
        found = working_prior(predictor, priors, scaling.TX, scaling.y_scale)
        return FixedPrior(precision=found.precision, mean=found.mean - scaling.beta_0)


def working_prior(
    predictor: LinearPredictor, priors: PredictorPriors, TX: np.ndarray, unit: float = 1.0
) -> FixedPrior:
    """Prior of a predictor's coefficients as one of those of working columns X TX^-1.

    Parameters
    ----------
    predictor : LinearPredictor
    priors : PredictorPriors
    TX : ndarray, shape (p, p)
    unit : float
        Unit of the response.
    """
    p = len(predictor.fixed_effects)
    names = predictor.fixed_effects
    A = np.eye(p)
    mean, weight = np.zeros(p), np.zeros(p)
    slopes = list(predictor.slopes)
    entries = dict(zip(slopes, priors.coefficients, strict=True))
    if priors.intercept is not None:
        at = names.index("Intercept")
        entries[at] = priors.intercept
        if priors.intercept_is_centered:
            A[at, slopes] = predictor.means[slopes]
    for j, entry in entries.items():
        if entry.prior.distribution == "Normal":
            check_sizes("Normal", entry.prior.parameters)
            mean[j], sigma = standard_parameters("Normal", entry.prior.parameters).values()
            weight[j] = sigma**-2
    Q = A @ np.linalg.inv(TX) * unit
    return FixedPrior(
        precision=Q.T @ (weight[:, None] * Q),
        mean=np.linalg.solve(Q, mean) if p else np.zeros(0),
    )


def build_problem(
    predictor: LinearPredictor,
    y: np.ndarray,
    *,
    residual: Residual | None = None,
    rows: Rows | None = None,
    scale: RowScale | None = None,
) -> Problem:
    """Gather a normal model's cross-products.

    Parameters
    ----------
    predictor : LinearPredictor
    y : ndarray, shape (n,)
        The response.
    residual : Residual, optional
        The residual structure; independent residuals by default.
    rows : mapping of str to ndarray, shape (n,), optional
        What it needs to know of each row.
    scale : RowScale, optional
        Standard deviations of the rows, where sigma has a predictor.

    Returns
    -------
    Problem

    Raises
    ------
    NotSupportedError
        If crossed grouping factors are too large for the exact algebra.
    """
    z = y if predictor.offset is None else y - predictor.offset
    structure, given = residual or Independent(), {} if rows is None else rows
    n = predictor.n_obs
    pairs, scale = structure.pairs(given, n), scale or structure.scale(given, n)
    plan = plan_elimination(predictor.groups, pairs)
    scaling = scale_design(predictor, z, pairs.weights)
    turn = None
    if structure.parameters or scale is not None:
        equations = structured_equations(
            predictor, z, structure, given, pairs, scale, scaling, plan
        )
    else:
        equations, _ = build_equations(predictor, z, pairs, scaling, plan)
        if may_be_turned(predictor.groups, pairs):
            equations, plan, turn = turned_equations(predictor, equations)
        equations = share_patterns(equations)
    return Problem(
        equations=equations,
        plan=plan,
        scaling=scaling,
        groups=tuple(predictor.groups[k] for k in (*plan.chain, *plan.rest)),
        residual=structure,
        log_det=0.0 if pairs.weights is None else float(np.log(pairs.weights).sum()),
        scale=scale,
        turn=turn,
    )


def unsupported_priors(priors: ModelPriors) -> list[str]:
    """Priors for which the algebra is not exact, or that its kernels do not know."""
    found: list[str] = []

    def look(entries: Iterable[PriorInForce], known: Set[str]) -> None:
        found.extend(
            f"{entry.parameter} ~ {entry.prior}"
            for entry in entries
            if entry.prior.distribution not in known
        )

    fixed, scales = {"Normal", "Flat"}, set(_SCALE_PRIORS)
    for own in priors.predictors.values():
        look([own.intercept] if own.intercept is not None else [], fixed)
        look(own.coefficients, fixed)
        for group, entries in own.sd.items():
            look(entries, scales)
            # Within its range, as has been checked.
            look(own.structure.get(group, {}).values(), scales | fixed)
    look(priors.family.values(), scales | {"Beta", "Normal", "StudentT"})
    for entry in priors.residual.values():
        known = {"LKJ"} | scales if entry.parameter.startswith("sd(") else {"LKJ"} | scales | fixed
        # Uniform over part of a range has another coordinate.
        look([entry], known - {"Uniform"} if entry.origin == "user" else known)
    return found


_SCALE_PRIORS = {
    "HalfFlat": codes.HALF_FLAT,
    "HalfNormal": codes.HALF_NORMAL,
    "HalfCauchy": codes.HALF_CAUCHY,
    "HalfStudentT": codes.HALF_STUDENT_T,
    "Exponential": codes.EXPONENTIAL,
    "Gamma": codes.GAMMA,
    "LogNormal": codes.LOG_NORMAL,
    "InverseGamma": codes.INVERSE_GAMMA,
    "Uniform": codes.UNIFORM,
}


def scale_prior_codes(prior: Prior) -> tuple[int, float, float]:
    """Code and two parameters of a prior of a standard deviation; flat where none is known."""
    kind = _SCALE_PRIORS.get(prior.distribution, codes.HALF_FLAT)
    if kind == codes.HALF_FLAT:
        return kind, 0.0, 0.0
    check_sizes(prior.distribution, prior.parameters)
    a, b = (*standard_parameters(prior.distribution, prior.parameters).values(), 0.0)[:2]
    return kind, a, b


def _coordinates(
    problem: Problem, priors: ModelPriors | None, *, with_sigma: bool, unit: float
) -> Coordinates:
    eq = problem.equations
    order = (*problem.plan.chain, *problem.plan.rest)
    covariances = [covariance_of(group) for group in problem.groups]
    n_sd = sum(covariance.n_sd for covariance in covariances)
    kinds = np.zeros(n_sd + 1, dtype=np.int64)
    a, b = np.zeros(n_sd + 1), np.zeros(n_sd + 1)
    blocks, effect_sd, at_sd = _Blocks(), [np.zeros(0, dtype=np.int64)], 0
    for f, (group, covariance) in enumerate(zip(problem.groups, covariances, strict=True)):
        if priors is not None:
            for k, entry in enumerate(priors.mu.sd[group.name], at_sd):
                kinds[k], a[k], b[k] = scale_prior_codes(entry.prior)
        effect_sd.append(at_sd + covariance.sd_of_effect)
        at_sd += covariance.n_sd
        for part in covariance.with_coordinates:
            blocks.add(
                f, part, n_sd, None if priors is None else priors.mu.of_part(group.name, part)
            )
    if priors is not None and with_sigma:
        kinds[-1], a[-1], b[-1] = scale_prior_codes(priors.family["sigma"].prior)
    T = [(problem.scaling.TZ[k] / unit).ravel() for k in order]
    made = Coordinates(
        sizes=[n_sd + blocks.n_coordinates + with_sigma, n_sd, len(blocks.structures), with_sigma],
        sd_start=(np.cumsum(eq.q) - eq.q).astype(np.int64),
        effect_sd=np.concatenate(effect_sd),
        q=eq.q,
        L_start=eq.L_start,
        prior_kind=kinds,
        prior_a=a,
        prior_b=b,
        T=np.concatenate(T) if T else np.zeros(0),
        unit=[problem.scaling.y_scale],
        **blocks.arrays(),
    )
    if problem.phi:
        made.phi = phi_coordinates(problem.phi, [_phi_prior(one, priors) for one in problem.phi])
    return made


def _value_prior_codes(prior: Prior) -> tuple[int, float, float]:
    """Codes of the prior of a covariance structure's parameter, which may be any number."""
    if prior.distribution == "Normal":
        check_sizes("Normal", prior.parameters)
        mu, sigma = standard_parameters("Normal", prior.parameters).values()
        return NORMAL, mu, sigma
    return scale_prior_codes(prior)


def _phi_prior(
    parameter: ResidualParameter, priors: ModelPriors | None
) -> tuple[int, float, float]:
    """Codes of the prior of a residual structure's parameter; flat without."""
    if priors is None:
        return codes.HALF_FLAT, 0.0, 0.0
    entry = priors.of_residual(parameter.prior_name)
    if parameter.vine is not None:
        return VINE, entry.prior.parameters["eta"] - 1.0, parameter.vine
    if entry.prior.distribution == "Normal":
        kind, a, b = _value_prior_codes(entry.prior)
        return kind, a / parameter.unit, b / parameter.unit
    if parameter.support == "interval":  # uniform over all of it
        return codes.HALF_FLAT, 0.0, 0.0
    return scale_prior_codes(entry.prior)


class _Blocks:
    """Blocks with coordinates of their own, gathered one by one."""

    _WHOLE = ("factor", "first", "size", "x", "n", "value", "data")

    def __init__(self) -> None:
        self.structures: list[type[Covariance]] = []
        self.n_coordinates = 0
        self._rows: list[tuple[int, ...]] = []
        self._eta: list[float] = []
        self._values: list[tuple[float, ...]] = []
        self._data: list[float] = []

    def add(self, f: int, part: Part, n_sd: int, priors: Mapping[str, Prior] | None) -> None:
        """Add a block of the factor f, with the priors of its parameters."""
        own = part.covariance
        parameters = own.parameters()
        self._rows.append((
            f, part.start, own.size, n_sd + self.n_coordinates, len(parameters),
            len(self._values), len(self._data),
        ))  # fmt: skip
        self._eta.append(1.0 if priors is None else priors["corr"].parameters["eta"]
                         if own.free_correlations else 1.0)  # fmt: skip
        for p in parameters:
            kind, a, b = (0, 0.0, 0.0) if priors is None else _value_prior_codes(priors[p.name])
            lower, width = p.lower, 0.0 if np.isinf(p.upper) else p.upper - p.lower
            if p.is_real:
                lower, width = p.center, -1.0
            below = above = 0.0
            if kind == codes.UNIFORM:
                lower, width, below, above = a, b - a, a - p.lower, p.upper - b
            self._values.append((kind, a, b, lower, width, p.unit, below, above))
        self._data += own.data().tolist()
        self.structures.append(type(own))
        self.n_coordinates += own.n_coordinates

    def arrays(self) -> dict[str, Any]:
        """Return the arguments of `Coordinates`."""
        whole = np.asarray(self._rows, dtype=np.int64).reshape(-1, len(self._WHOLE)).T
        values = np.asarray(self._values, dtype=np.float64).reshape(-1, 8).T
        names = ("kind", "a", "b", "lower", "width", "unit", "below", "above")
        return {
            "structures": self.structures,
            "eta": self._eta,
            "data": self._data,
            **{f"block_{name}": row for name, row in zip(self._WHOLE, whole, strict=True)},
            **{f"value_{name}": row for name, row in zip(names, values, strict=True)},
        }
