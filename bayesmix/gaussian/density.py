"""The collapsed log density and the REML and ML criteria, each with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.criterion import JACOBIAN, PRIORS, PROFILED, WITH_FIXED, criterion
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.linking import Kernel
from bayesmix.gaussian.structured import structured_criterion

__all__ = [
    "MANY_COLUMNS",
    "FixedPrior",
    "deviance_function",
    "evaluate",
    "log_density",
    "log_likelihood",
    "profiled_deviance",
    "profiled_variance",
]

# Columns of a root that are work enough for more than one thread of BLAS. No clock decides: sums
# of two threads differ in their last digits from those of one, and a seed's draws would with them.
MANY_COLUMNS = 2500


class FixedPrior(NamedTuple):
    """Normal or flat prior of the working fixed effects.

    Attributes
    ----------
    precision : ndarray, shape (p, p)
        Zero rows for flat priors.
    mean : ndarray, shape (p,)
    """

    precision: Any
    mean: Any


def flat_prior(p: int) -> FixedPrior:
    """Return the flat prior of p fixed effects."""
    return FixedPrior(np.zeros((p, p)), np.zeros(p))


def log_density(
    eq: Equations, co: Coordinates, prior: FixedPrior, x: np.ndarray, jacobian: bool,
    gradient: np.ndarray,
) -> float:  # fmt: skip
    """Log density of theta with all effects integrated out, up to a constant.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    prior : FixedPrior
    x : ndarray
        Coordinates of theta.
    jacobian : bool
        Whether as a density of x (for NUTS) or of (sd, R, sigma) (for the mode).
    gradient : ndarray
        Receives the gradient in x.

    Returns
    -------
    float
        Minus infinity where the equations cannot be factored.
    """
    flags = WITH_FIXED | PRIORS | (JACOBIAN if jacobian else 0)
    return evaluate(eq, co, prior, x, flags, 0.0, gradient, np.empty(1))


def log_likelihood(
    eq: Equations, co: Coordinates, x: np.ndarray, reml: bool, gradient: np.ndarray
) -> float:
    """REML or ML log likelihood of theta, sigma among its coordinates, up to a constant.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    x : ndarray
    reml : bool
        Whether beta is integrated out (flat prior) or at its best.
    gradient : ndarray
        Receives the gradient in x.

    Returns
    -------
    float
    """
    flat, flags = flat_prior(eq.n_fixed), WITH_FIXED if reml else 0
    return evaluate(eq, co, flat, x, flags, 0.0, gradient, np.empty(1))


def profiled_deviance(
    eq: Equations, co: Coordinates, x: np.ndarray, reml: bool, known: float, gradient: np.ndarray
) -> float:
    """REML criterion or ML deviance with sigma and beta at their best.

    In working columns: what the change of columns and units adds is a constant.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
        Whose standard deviations are relative to sigma (absolute where that is
        known), and sigma itself absent.
    x : ndarray
    reml : bool
    known : float
        Residual precision of a row of weight 1 where it is known; 0 where sigma is
        estimated.
    gradient : ndarray
        Receives the gradient in x.

    Returns
    -------
    float
        Infinity where the equations cannot be factored.
    """
    flat, flags = flat_prior(eq.n_fixed), PROFILED | (WITH_FIXED if reml else 0)
    return evaluate(eq, co, flat, x, flags, known, gradient, np.empty(1))


def deviance_function(
    eq: Equations, co: Coordinates, reml: bool, known: float
) -> Callable[[np.ndarray, np.ndarray], float]:
    """`profiled_deviance` as a function of the coordinates and of the gradient that it fills.

    Parameters
    ----------
    eq, co, reml, known
        As of `profiled_deviance`.

    Returns
    -------
    callable
    """
    flat, flags = flat_prior(eq.n_fixed), PROFILED | (WITH_FIXED if reml else 0)
    variance = np.empty(1)
    kernel, given = _kernel_of(eq, co, flat)
    call = kernel.bound(*given)
    return lambda x, gradient: float(call(x, flags, known, gradient, variance))


def profiled_variance(eq: Equations, co: Coordinates, x: np.ndarray, reml: bool) -> float:
    """Best residual variance at relative coordinates, in working units."""
    flat, flags = flat_prior(eq.n_fixed), PROFILED | (WITH_FIXED if reml else 0)
    variance = np.empty(1)
    evaluate(eq, co, flat, x, flags, 0.0, np.empty(len(x)), variance)
    return float(variance[0])


def evaluate(
    eq: Equations, co: Coordinates, prior: FixedPrior, x: np.ndarray, flags: int, known: float,
    gradient: np.ndarray, variance: np.ndarray,
) -> float:  # fmt: skip
    """Call the criterion, on equations whose residual structure has parameters or none.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    prior : FixedPrior
    x : ndarray
        Coordinates of theta, then of the structure's parameters.
    flags, known, gradient, variance
        As of `criterion`.

    Returns
    -------
    float
    """
    kernel, given = _kernel_of(eq, co, prior)
    return float(kernel(*given, x, flags, known, gradient, variance))


def _kernel_of(eq: Equations, co: Coordinates, prior: FixedPrior) -> tuple[Kernel, tuple[Any, ...]]:
    """The criterion where the residual structure has parameters or none, and what it is given."""
    classes, phi, law = eq.classes, co.phi, (prior.precision, prior.mean)
    if classes is None or phi is None:
        return criterion, (eq.ints, eq.floats, co.ints, co.floats, *law)
    return structured_criterion, (
        eq.ints, classes.ints, classes.floats, classes.address(), phi.ints, phi.floats, co.ints,
        co.floats, *law,
    )  # fmt: skip
