"""The functions that densities are written in, under one name for numpy and PyTensor.

A family writes its log density once; the numbers of a prediction and the graph of the
PyMC model are the same formula over other arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special

__all__ = ["LOG_2PI", "NUMPY", "Functions", "large_is_infinite", "tensor_functions", "times_log"]

Functions = SimpleNamespace
LOG_2PI = float(np.log(2 * np.pi))
# Tail probabilities that are only known as numbers, not as logarithms, stop here: the logarithm
# of 0 would make the gradient of rows that do not even look at this tail no number.
_SMALLEST = 1e-300
_SQRT_HALF = float(np.sqrt(0.5))


def times_log(f: Functions, times: Any, log_p: Any) -> Any:
    """Write `times` times `log_p`, which is 0 at 0 times whatever log_p, with its gradient."""
    return f.where(times > 0, times * f.where(times > 0, log_p, 0.0), 0.0)


def _log1mexp(x: Any) -> Any:
    """log(1 - exp(x)) for x <= 0 (Maechler 2012)."""
    near = x > -0.6931471805599453
    return np.where(near, np.log(-np.expm1(np.where(near, x, -1.0))),
                    np.log1p(-np.exp(np.where(near, -1.0, x))))  # fmt: skip


def _pick(thresholds: Any, at: Any) -> Any:
    """Take thresholds[at] for each row, whatever draws stand in front of either."""
    at = np.asarray(at, dtype=np.int64)
    thresholds = np.asarray(thresholds)
    shape = np.broadcast_shapes(thresholds.shape[:-1], at.shape)
    everywhere = np.broadcast_to(thresholds, (*shape, thresholds.shape[-1]))
    return np.take_along_axis(everywhere, np.broadcast_to(at, shape)[..., None], axis=-1)[..., 0]


NUMPY: Functions = SimpleNamespace(
    abs=np.abs,
    arctan2=np.arctan2,
    betainc=special.betainc,
    betaln=special.betaln,
    exp=np.exp,
    expm1=np.expm1,
    gammainc=special.gammainc,
    gammaincc=special.gammaincc,
    gammaln=special.gammaln,
    i0e=special.i0e,
    sin=np.sin,
    log=np.log,
    log1mexp=_log1mexp,
    log1p=np.log1p,
    cumsum_last=lambda x: np.cumsum(x, axis=-1),
    column=lambda x: np.asarray(x)[..., None],
    with_zero=lambda x: np.concatenate([np.zeros((*x.shape[:-1], 1)), x], axis=-1),
    log_expit=special.log_expit,
    log_ndtr=special.log_ndtr,
    logsumexp=lambda x: special.logsumexp(x, axis=-1),
    log_tail=lambda p: np.log(np.maximum(p, _SMALLEST)),
    logaddexp=np.logaddexp,
    maximum=np.maximum,
    minimum=np.minimum,
    numbers=lambda n: np.arange(1.0, n + 1.0),
    places=lambda x: np.arange(1.0, x.shape[-1] + 1.0),
    pick=_pick,
    thresholds_less=lambda tau, eta: np.asarray(tau) - np.asarray(eta)[..., None],
    sqrt=np.sqrt,
    sum_last=lambda x: np.sum(x, axis=-1),
    where=np.where,
    whole=np.floor,
)


@functools.cache
def tensor_functions() -> Functions:
    """Return the same functions of PyTensor, which is loaded by the first call."""
    import pytensor.tensor as pt
    from pytensor.gradient import disconnected_grad

    def log_ndtr(x: Any) -> Any:
        # PyMC's own takes sqrt(2) in single precision. Each side is kept in its range, so
        # that the gradient of the side that is not taken is a number.
        left = pt.minimum(x, -1.0)
        near = pt.log1p(-0.5 * pt.erfc(pt.maximum(x, -1.0) * _SQRT_HALF))
        far = pt.log(0.5 * pt.erfcx(-left * _SQRT_HALF)) - 0.5 * left**2
        return pt.switch(pt.lt(x, -1.0), far, near)

    def stirling(x: Any) -> Any:
        y = 1.0 / (x * x)
        return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y * (
            1 / 1188 - y * (691 / 360360 - y * (1 / 156))))))) / x  # fmt: skip

    def betaln(a: Any, b: Any) -> Any:
        # Logarithms of gamma functions cancel where one argument is large: there the
        # leading terms of Stirling's series are subtracted before they are evaluated.
        swap = pt.ge(b, a)
        large, small = pt.switch(swap, b, a), pt.switch(swap, a, b)
        plain = pt.lt(large, 8.0)
        x = pt.maximum(large, 8.0)  # each side is kept in its range, for its gradient
        growth = (x + small - 0.5) * pt.log1p(small / x) - small + small * pt.log(x)
        far = growth + stirling(x + small) - stirling(x)
        near = pt.minimum(large, 8.0)
        near = pt.gammaln(near + small) - pt.gammaln(near)
        return pt.gammaln(small) - pt.switch(plain, near, far)

    return SimpleNamespace(
        abs=pt.abs,
        arctan2=pt.arctan2,
        betainc=pt.betainc,
        betaln=betaln,
        exp=pt.exp,
        expm1=pt.expm1,
        gammainc=pt.gammainc,
        gammaincc=pt.gammaincc,
        gammaln=pt.gammaln,
        i0e=lambda x: pt.i0(x) * pt.exp(-x),
        sin=pt.sin,
        log=pt.log,
        log1mexp=pt.log1mexp,
        log1p=pt.log1p,
        cumsum_last=lambda x: pt.cumsum(x, axis=-1),
        column=lambda x: x[:, None],
        with_zero=lambda x: pt.concatenate([pt.zeros_like(x[..., :1]), x], axis=-1),
        log_expit=lambda x: -pt.softplus(-x),
        log_ndtr=log_ndtr,
        logsumexp=lambda x: pt.logsumexp(x, axis=-1),
        log_tail=lambda p: pt.log(pt.maximum(p, _SMALLEST)),
        logaddexp=pt.logaddexp,
        maximum=pt.maximum,
        minimum=pt.minimum,
        numbers=lambda n: np.arange(1.0, n + 1.0),
        places=lambda x: pt.arange(1, x.shape[-1] + 1).astype("float64"),
        # One vector for all rows, in front of which PyMC may put an axis of length one.
        pick=lambda thresholds, at: thresholds.flatten()[at.astype("int64")],
        thresholds_less=lambda tau, eta: tau.flatten()[None, :] - eta[:, None],
        sqrt=pt.sqrt,
        sum_last=lambda x: pt.sum(x, axis=-1),
        where=pt.switch,
        whole=lambda x: disconnected_grad(pt.floor(x)),
    )


def large_is_infinite[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of means: beyond the largest number it is infinite, without a warning.

    The square of a mean of 1e160 is no double, and infinite is what rounds to it. What
    is then left of differences, infinite minus infinite, is NaN.
    """

    @functools.wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
        with np.errstate(over="ignore", invalid="ignore"):
            return function(*args, **kwargs)

    return quiet
