"""From the distribution of a response to that of an observation.

An observation may be censored, truncated, or carry an exponent. The formulas are those of
`bayesmix.families.functions`, so numbers and the PyMC model agree. PyMC's own `Censored` takes
log(1 - cdf), which is minus infinity in a far right tail; here each tail has its own formula.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

from bayesmix.families.functions import NUMPY, Functions, tensor_functions, times_log
from bayesmix.families.row_values import Rows

__all__ = ["custom_distribution", "draw_within", "is_plain", "observation_log_prob"]

_WRAPPING = ("status", "lower", "upper", "exponent")
# Draws must know where there is no probability at all.
_EXACT = Functions(**{**vars(NUMPY), "log_tail": np.log})
_REJECTIONS = 30
_BISECTIONS = 200


class Distribution(Protocol):
    """What this file asks of a family."""

    discrete: ClassVar[bool]
    mean_is_positive: ClassVar[bool]

    @property
    def vector_parameters(self) -> tuple[str, ...]:
        """Names of the parameters that are vectors."""

    def inverse_link(self, eta: Any) -> np.ndarray:
        """Return mu of the linear predictor."""

    def link_function(self, mu: Any) -> np.ndarray:
        """Return the linear predictor that gives mu."""

    def log_density(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> Any:
        """Log density of y, in the functions `f`."""

    def log_tails(
        self, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
    ) -> tuple[Any, Any]:
        """Log P(Y <= y) and log P(Y > y)."""

    def draw(
        self, eta: np.ndarray, parameters: Mapping[str, Any], rows: Rows, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw a response for each entry of eta, without truncation."""


def is_plain(rows: Rows) -> bool:
    """Whether observations are neither censored nor truncated nor weighted."""
    return not any(name in rows for name in _WRAPPING)


def observation_log_prob(
    family: Distribution, f: Functions, y: Any, eta: Any, parameters: Mapping[str, Any], rows: Rows
) -> Any:
    """Log density of the observations, in the functions `f`, shape (..., n).

    A right-censored row says that the value is y or more, a left-censored one that it is
    y or less; the limits of a truncation are possible values.
    """
    lp = family.log_density(f, y, eta, parameters, rows)
    if "status" in rows:
        status = rows["status"]
        step = 1.0 if family.discrete else 0.0
        below = family.log_tails(f, y, eta, parameters, rows)[0]
        above = family.log_tails(f, y - step, eta, parameters, rows)[1]
        lp = f.where(status > 0, above, f.where(status < 0, below, lp))
    if "lower" in rows or "upper" in rows:
        lp = lp - _log_interval(family, f, eta, parameters, rows)
        outside = (y < rows.get("lower", -np.inf)) | (y > rows.get("upper", np.inf))
        lp = f.where(outside, -np.inf, lp)
    if "exponent" in rows:
        lp = times_log(f, rows["exponent"], lp)
    return lp


def _log_interval(
    family: Distribution, f: Functions, eta: Any, parameters: Mapping[str, Any], rows: Rows
) -> Any:
    """Return log P(lower <= Y <= upper), from the tail in which the difference is not lost."""
    step = 1.0 if family.discrete else 0.0

    def tails(y: Any) -> tuple[Any, Any]:
        return family.log_tails(f, y, eta, parameters, rows)

    if "upper" not in rows:
        return tails(rows["lower"] - step)[1]
    if "lower" not in rows:
        return tails(rows["upper"])[0]
    low_below, low_above = tails(rows["lower"] - step)
    up_below, up_above = tails(rows["upper"])
    left = low_above >= -0.6931471805599453  # the lower limit lies left of the median
    return f.where(
        left,
        _log_difference(f, f.where(left, up_below, 0.0), f.where(left, low_below, -1.0)),
        _log_difference(f, f.where(left, 0.0, low_above), f.where(left, -1.0, up_above)),
    )


def _log_difference(f: Functions, a: Any, b: Any) -> Any:
    """log(exp(a) - exp(b)) for b <= a; minus infinity at b = a."""
    return a + f.log1mexp(f.minimum(b - a, 0.0))


def custom_distribution(
    family: Distribution, eta: Any, parameters: Mapping[str, Any], rows: Rows
) -> tuple[Any, dict[str, Any]]:
    """State the observations in PyMC through the family's own formulas.

    Parameters
    ----------
    family : Family
    eta : TensorVariable, shape (n,)
    parameters : mapping of str to TensorVariable
    rows : mapping of str to TensorVariable, shape (n,)

    Returns
    -------
    Custom
        That is called and has ``dist`` like a PyMC distribution.
    dict of str to TensorVariable
        Its arguments.
    """
    arguments = {"eta": eta, **parameters, **rows}
    return Custom(family, tuple(parameters), tuple(rows)), arguments


class Custom:
    """A `pymc.CustomDist` with the formulas of a family.

    Parameters
    ----------
    family : Family
    parameters, rows : tuple of str
        Names of its arguments beside eta.
    """

    def __init__(
        self, family: Distribution, parameters: tuple[str, ...], rows: tuple[str, ...]
    ) -> None:
        self.family = family
        self.parameters = parameters
        self.rows = rows

    def __call__(self, name: str, **arguments: Any) -> Any:
        """Add the variable to the PyMC model on the context stack."""
        import pymc as pm

        values = [arguments.pop(key) for key in ("eta", *self.parameters, *self.rows)]
        return pm.CustomDist(name, *values, **self._functions(values), **arguments)

    def dist(self, **arguments: Any) -> Any:
        """Return the distribution outside a model."""
        import pymc as pm

        values = [arguments.pop(key) for key in ("eta", *self.parameters, *self.rows)]
        return pm.CustomDist.dist(*values, **self._functions(values), **arguments)

    def _split(self, values: tuple[Any, ...]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        eta, rest = values[0], values[1:]
        n = len(self.parameters)
        parameters = dict(zip(self.parameters, rest[:n], strict=True))
        return eta, parameters, dict(zip(self.rows, rest[n:], strict=True))

    def _functions(self, values: list[Any]) -> dict[str, Any]:
        def logp(value: Any, *given: Any) -> Any:
            f = tensor_functions()
            return observation_log_prob(self.family, f, value, *self._split(given))

        def random(*given: Any, rng: np.random.Generator, size: Any = None) -> np.ndarray:
            eta, parameters, rows = self._split(given)
            shape = np.shape(eta) if size is None else tuple(np.atleast_1d(size))
            drawn = draw_within(self.family, np.broadcast_to(eta, shape), parameters, rows, rng)
            return drawn.astype(np.int64) if self.family.discrete else drawn

        vectors = self.family.vector_parameters
        inputs = ["(k)" if name in vectors else "()" for name in ("eta", *self.parameters)]
        inputs += ["()"] * len(self.rows)
        return {
            "logp": logp,
            "random": random,
            "signature": f"{','.join(inputs)}->()",
            "dtype": "int64" if self.family.discrete else "float64",
            "class_name": type(self.family).__name__,
        }


def draw_within(
    family: Distribution,
    eta: np.ndarray,
    parameters: Mapping[str, Any],
    rows: Rows,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw responses between the limits of a truncation: by rejection, then by bisection."""
    if family.mean_is_positive:
        possible = family.inverse_link(eta) > 0
        if not possible.all():
            some = np.where(possible, eta, family.link_function(1.0))
            return np.where(possible, draw_within(family, some, parameters, rows, rng), np.nan)
    y = np.asarray(family.draw(eta, parameters, rows, rng), dtype=np.float64)
    if "lower" not in rows and "upper" not in rows:
        return y
    lower = np.broadcast_to(rows.get("lower", -np.inf), y.shape)
    upper = np.broadcast_to(rows.get("upper", np.inf), y.shape)
    for _ in range(_REJECTIONS):
        outside = (y < lower) | (y > upper)
        if not outside.any():
            return y
        again = np.asarray(family.draw(eta, parameters, rows, rng), dtype=np.float64)
        y = np.where(outside, again, y)
    outside = (y < lower) | (y > upper)
    return np.where(outside, _bisected(family, eta, parameters, rows, rng), y)


def _bisected(
    family: Distribution,
    eta: np.ndarray,
    parameters: Mapping[str, Any],
    rows: Rows,
    rng: np.random.Generator,
) -> np.ndarray:
    """Invert the distribution function of the truncated response."""
    step = 1.0 if family.discrete else 0.0

    def log_part(y: np.ndarray) -> np.ndarray:
        """Return log P(lower <= Y <= y)."""
        inside = {**rows, "upper": y}
        return np.asarray(_log_interval(family, _EXACT, eta, parameters, inside))

    with np.errstate(all="ignore"):
        total = np.asarray(_log_interval(family, _EXACT, eta, parameters, rows))
        target = np.log(rng.uniform(size=eta.shape)) + total
        low, high = _bracket(family, eta, rows, log_part, target)
        for _ in range(_BISECTIONS):
            middle = np.floor((low + high) / 2) if step else (low + high) / 2
            reached = log_part(middle) >= target
            high = np.where(reached, middle, high)
            low = np.where(reached, low, middle)
            if np.all(high - low <= (step or 1e-12 * (1 + np.abs(high)))):
                break
        # Too far out for a number, what is left of the distribution sits at the near limit.
        upper = np.broadcast_to(rows.get("upper", np.inf), eta.shape)
        lower = np.broadcast_to(rows.get("lower", -np.inf), eta.shape)
        beyond = np.asarray(family.log_tails(_EXACT, upper, eta, parameters, rows)[1]) > -0.5
        near = np.where(np.isfinite(upper) & beyond, upper, lower)
    return np.where(total > -np.inf, high, near)


def _bracket(
    family: Distribution,
    eta: np.ndarray,
    rows: Rows,
    log_part: Callable[[np.ndarray], np.ndarray],
    target: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Points below and above the value that is sought, both finite."""
    start = np.asarray(family.inverse_link(eta))
    start = np.floor(start) if family.discrete else start
    finite_low = rows.get("lower", -np.inf)
    finite_high = rows.get("upper", np.inf)
    step = 1.0 if family.discrete else 0.0
    low = np.where(np.isfinite(finite_low), finite_low - step, np.minimum(start, finite_high) - 1)
    high = np.where(np.isfinite(finite_high), finite_high, np.maximum(start, low) + 1)
    width = 1.0
    for _ in range(200):
        far_low = ~np.isfinite(finite_low) & (log_part(low) >= target)
        far_high = ~np.isfinite(finite_high) & (log_part(high) < target)
        if not (far_low.any() or far_high.any()):
            break
        low = np.where(far_low, low - width, low)
        high = np.where(far_high, high + width, high)
        width *= 2
    return low, high
