"""The functions that densities are written in, under one name for numpy and PyTensor.

A family writes its log density once; the numbers of a prediction and the graph of the
PyMC model are the same formula over other arrays.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special

__all__ = ["LOG_2PI", "NUMPY", "Functions", "tensor_functions"]

Functions = SimpleNamespace
LOG_2PI = float(np.log(2 * np.pi))


def _log1mexp(x: Any) -> Any:
    """log(1 - exp(x)) for x <= 0 (Maechler 2012)."""
    near = x > -0.6931471805599453
    return np.where(near, np.log(-np.expm1(np.where(near, x, -1.0))),
                    np.log1p(-np.exp(np.where(near, -1.0, x))))  # fmt: skip


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
    log=np.log,
    log1mexp=_log1mexp,
    log1p=np.log1p,
    log_expit=special.log_expit,
    log_ndtr=special.log_ndtr,
    logaddexp=np.logaddexp,
    maximum=np.maximum,
    minimum=np.minimum,
    sqrt=np.sqrt,
    where=np.where,
)


@functools.cache
def tensor_functions() -> Functions:
    """Return the same functions of PyTensor, which is loaded by the first call."""
    import pytensor.tensor as pt
    from pymc.distributions.dist_math import normal_lcdf

    return SimpleNamespace(
        abs=pt.abs,
        arctan2=pt.arctan2,
        betainc=pt.betainc,
        betaln=lambda a, b: pt.gammaln(a) + pt.gammaln(b) - pt.gammaln(a + b),
        exp=pt.exp,
        expm1=pt.expm1,
        gammainc=pt.gammainc,
        gammaincc=pt.gammaincc,
        gammaln=pt.gammaln,
        log=pt.log,
        log1mexp=pt.log1mexp,
        log1p=pt.log1p,
        log_expit=lambda x: -pt.softplus(-x),
        log_ndtr=lambda x: normal_lcdf(0.0, 1.0, x),
        logaddexp=pt.logaddexp,
        maximum=pt.maximum,
        minimum=pt.minimum,
        sqrt=pt.sqrt,
        where=pt.switch,
    )
