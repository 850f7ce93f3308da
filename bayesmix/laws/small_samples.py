"""Tests of hypotheses about fixed effects that know how few groups there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import special

from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.gaussian.conditional import conditional_moments
from bayesmix.gaussian.density import flat_prior
from bayesmix.inference.determined import Determined
from bayesmix.laws.base import DegreesOfFreedom
from bayesmix.laws.kenward_roger import LinearFactor, kenward_roger
from bayesmix.laws.linear_parameters import linear_entries

if TYPE_CHECKING:
    from bayesmix.laws.flat_sigma import FlatSigma

__all__ = ["Asymptotic", "FTest", "SmallSample", "small_sample", "tested"]

_STEP = 1e-4  # of a logarithm of a standard deviation


@dataclass(frozen=True, slots=True, kw_only=True)
class FTest:
    """A hypothesis about coefficients, tested.

    Attributes
    ----------
    num_df : int
    den_df, f, p : float
    """

    num_df: int
    den_df: float
    f: float
    p: float


class SmallSample(Protocol):
    """What a method says of coefficients."""

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the fixed effects, shape (p, p)."""

    def of(self, L: np.ndarray) -> np.ndarray:
        """Covariance of L beta, shape (d, d), NaN where the likelihood does not tell them."""

    def test(self, L: np.ndarray) -> tuple[float, float]:
        """Denominator degrees of freedom of L beta = 0, and what the F statistic is scaled by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asymptotic:
    """Coefficients whose covariance is taken as known.

    Attributes
    ----------
    covariance : ndarray, shape (p, p)
        NaN for those that have run away.
    determined : Determined, of p coefficients or more
        What is known of them, and of those of other predictors behind them: two that ran
        away together may have a difference that is known.
    """

    covariance: np.ndarray
    determined: Determined

    def of(self, L: np.ndarray) -> np.ndarray:
        """Covariance of L beta, NaN where it changes along a flat direction."""
        return self.determined.part(slice(L.shape[1])).moved(L).table()

    def test(self, L: np.ndarray) -> tuple[float, float]:
        """Endless degrees of freedom."""
        return np.inf, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Satterthwaite:
    """Degrees of freedom that match the variance of a variance's estimate.

    Attributes
    ----------
    covariance : ndarray, shape (p, p)
    slopes : ndarray, shape (d, p, p)
        Its derivatives by the variance parameters.
    theta_cov : ndarray, shape (d, d)
        Covariance of their estimates.
    determined : Determined
        What is known of the coefficients.
    """

    covariance: np.ndarray
    slopes: np.ndarray
    theta_cov: np.ndarray
    determined: Determined

    def of(self, L: np.ndarray) -> np.ndarray:
        """Covariance of L beta, NaN where it changes along a flat direction."""
        return self.determined.moved(L).table()

    def test(self, L: np.ndarray) -> tuple[float, float]:
        """Degrees of freedom for several rows by Fai and Cornelius' moments."""
        values, vectors = np.linalg.eigh(L @ self.covariance @ L.T)
        rows = vectors.T @ L
        slopes = np.einsum("ka,iab,kb->ki", rows, self.slopes, rows)
        spread = np.einsum("ki,ij,kj->k", slopes, self.theta_cov, slopes)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(spread > 0, 2 * values**2 / spread, np.inf)
        if len(each) == 1 or np.ptp(each) < 1e-8 * each.min():
            return float(each.mean()), 1.0
        if (each <= 2).any():
            return 2.0, 1.0
        expected = float((1 / (1 - 2 / each)).sum())
        return 2 * expected / (expected - len(each)), 1.0


def small_sample(law: FlatSigma, method: DegreesOfFreedom) -> SmallSample:
    """Prepare tests by one method.

    Parameters
    ----------
    law : FlatSigma
        By REML or ML.
    method : {"satterthwaite", "kenward-roger"}

    Returns
    -------
    SmallSample

    Raises
    ------
    NotSupportedError
        For Kenward and Roger's where the covariance is not linear in its parameters.

    References
    ----------
    Giesbrecht, F. G. and Burns, J. C. (1985). Two-stage analysis based on a mixed model.
    Biometrics 41, 477-486; Fai, A. H.-T. and Cornelius, P. L. (1996). Approximate F-tests of
    multiple degree of freedom hypotheses in generalized least squares analyses of unbalanced
    split-plot experiments. Journal of Statistical Computation and Simulation 54, 363-378;
    Kenward, M. G. and Roger, J. H. (1997). Small sample inference for fixed effects from
    restricted maximum likelihood. Biometrics 53, 983-997.
    """
    return _satterthwaite(law) if method == "satterthwaite" else _kenward_roger(law)


def tested(
    method: SmallSample,
    beta: np.ndarray,
    L: np.ndarray,
    values: np.ndarray | None = None,  # noqa: PT028
) -> FTest:
    """Test L beta = values.

    Parameters
    ----------
    method : SmallSample
    beta : ndarray, shape (p,)
    L : ndarray, shape (d, p)
        Rows that say the same twice count once.
    values : ndarray, shape (d,), optional
        Zero by default.

    Returns
    -------
    FTest
        NaN where nothing is known of what is tested.

    Raises
    ------
    ArgumentError
        If rows of L contradict each other, or none says anything.
    """
    rows, values = _independent(L, np.zeros(len(L)) if values is None else values)
    q, at = len(rows), rows @ beta - values
    covariance = method.of(rows)
    if np.isnan(covariance).any():
        return FTest(num_df=q, den_df=np.nan, f=np.nan, p=np.nan)
    wald = float(at @ np.linalg.solve(covariance, at))
    den_df, scale = method.test(rows)
    f = scale * wald / q
    # Where there are endless degrees of freedom it is a chi-square over its own.
    p = special.fdtrc(q, den_df, f) if np.isfinite(den_df) else special.chdtrc(q, q * f)
    return FTest(num_df=q, den_df=den_df, f=f, p=float(p))


def _independent(L: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the same hypothesis, none of which the others determine."""
    size = np.linalg.norm(L, axis=0)
    size[size == 0] = 1.0
    left, scale, _ = np.linalg.svd(L / size)
    n = int((scale > 1e-10 * scale.max(initial=0.0)).sum())
    if not n:
        raise ArgumentError("the hypothesis names no coefficient")
    rows, values = left.T @ L, left.T @ values
    if np.abs(values[n:]).max(initial=0.0) > 1e-10 * np.abs(values).max(initial=0.0):
        raise ArgumentError("the hypotheses contradict each other: no coefficients have them all")
    return rows[:n], values[:n]


def _satterthwaite(law: FlatSigma) -> Satterthwaite:
    co, x = law.absolute
    problem, prior = law.problem, flat_prior(law.problem.n_fixed)
    known = problem.known_precision

    def covariance_at(at: np.ndarray) -> np.ndarray:
        return conditional_moments(problem, co, at, prior, known=known).beta_cov

    theta_cov = law.theta_cov
    free = np.flatnonzero(np.isfinite(np.diag(theta_cov)))
    slopes = []
    for k in free:
        step = np.zeros(len(x))
        step[k] = _STEP
        slopes.append((covariance_at(x + step) - covariance_at(x - step)) / (2 * _STEP))
    p = problem.n_fixed
    return Satterthwaite(
        covariance=law.conditional.beta_cov,
        slopes=np.asarray(slopes).reshape(-1, p, p),
        theta_cov=theta_cov[np.ix_(free, free)],
        determined=law.determined_fixed,
    )


def _kenward_roger(law: FlatSigma) -> SmallSample:
    design = law.model.design
    if law.problem.phi:
        raise NotSupportedError(
            "Kenward and Roger's method takes covariances that are linear in their parameters, and "
            'those of the residuals here are not; take ddf="satterthwaite"'
        )
    for group in design.mu.groups:
        if group.between is not None:
            raise NotSupportedError(
                f"Kenward and Roger's method takes independent levels, and those of "
                f'`{group.name}` are related by {group.between.name}; take ddf="satterthwaite"'
            )
    known_se = design.known_se
    sigma = law.optimum.sigma
    weights = known_se**-2.0 if known_se is not None else design.weights
    roots = law.roots
    factors = [
        LinearFactor(
            index=group.index, n_levels=group.n_levels, Z=group.Z,
            root=roots[group.name] / sigma, entries=linear_entries(group),
        )
        for group in design.mu.groups
    ]  # fmt: skip
    return kenward_roger(
        design.mu.X, weights, factors, sigma=sigma, sigma_is_known=law.problem.sigma_is_known
    )
