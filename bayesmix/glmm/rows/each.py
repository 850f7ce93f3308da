"""Kernels of several linear predictors, made of one function of a row.

A family's row is one function of the link-scale values of all its parameters. `each_row`
calls it for row after row: parameters with a linear predictor have theirs from eta, the
others are constants out of phi. So a parameter that is one number and one that has a
formula are the same density, and derivatives by a constant follow by the chain rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.gaussian.linking import Kernel, called, inner, kernel
from bayesmix.glmm.rows.kernels import ROW_KERNELS, SIGNATURE, Constant, RowKernel
from bayesmix.glmm.rows.links import IDENTITY, LINKS, LOGIT

__all__ = [
    "JOINT_KERNELS", "JOINT_ROWS", "JointRow", "chain", "each_row", "joint_kernel", "link_of_mu",
    "packed_links",
]  # fmt: skip

# By the name of a family's `row_kernel`: kernels that take any of its parameters by predictors.
JOINT_KERNELS: dict[str, Kernel] = {}

_BITS, _MASK = 5, 31


@dataclass(frozen=True, slots=True)
class JointRow:
    """A family's row, of which its kernels are made.

    Attributes
    ----------
    function : compiled function
        See `each_row`.
    constants : tuple of int
        Codes of the links of the family's parameters where they have no predictor.
    """

    function: Any
    constants: tuple[int, ...]


JOINT_ROWS: dict[str, JointRow] = {}


def joint_kernel(
    name: str, row: Any, constants: tuple[int, ...], constant: Constant | None = None, *,
    alone: bool = False,
) -> None:  # fmt: skip
    """Make a row's kernel of several predictors, by the name that families give.

    It has the signature of every row kernel. With m predictors eta and `first` have shape
    (m, n), `second` (m (m + 1) / 2, n): the lower triangle row by row. `link` is what
    `packed_links` makes. phi and `by_phi` have those of the family's parameters that have no
    predictor, in their order.

    Parameters
    ----------
    name : str
    row, constants
        See `JointRow`.
    constant : callable, optional
        What the kernel leaves out, if it is `alone`.
    alone : bool
        Whether it is the kernel of one predictor as well.
    """
    JOINT_ROWS[name] = JointRow(row, constants)
    made = kernel(*SIGNATURE)(each_row(f"joint_{name}", row, constants))
    JOINT_KERNELS[name] = made
    if alone:
        ROW_KERNELS[name] = RowKernel(made, constant, -1)


def packed_links(mu: str, parameters: Mapping[str, str | None]) -> int:
    """Say in one number which parameters have a predictor, and on which link.

    Parameters
    ----------
    mu : str
        The link of mu.
    parameters : mapping of str to str or None
        That of each of the family's parameters, in their order; None without a predictor.

    Returns
    -------
    int
        The code of mu's link, with those of the others in higher bits.
    """
    packed = LINKS[mu]
    for k, link in enumerate(parameters.values(), start=1):
        packed += (0 if link is None else 1 + LINKS[link]) << (_BITS * k)
    return packed


@inner
def link_of_mu(link: int) -> int:
    """Code of the link of mu within packed links."""
    return link & _MASK


@inner
def one_given(trials, i):  # type: ignore[no-untyped-def]
    """The number of trials, or what else is given as one number for row i."""
    return trials[i]


def each_row(
    name: str, row: Any, constants: tuple[int, ...], given: Any = one_given
) -> Callable[..., float]:
    """Make a kernel's function: the sum of rows' log densities, with derivatives as asked for.

    Parameters
    ----------
    name : str
        The kernel's.
    row : compiled function
        ``row(y, trials, links, a, order, g, H)``: log density of a row at the link-scale
        values a of mu and the family's parameters. From order 1 it fills the gradient g,
        from order 2 the lower triangle of the Hessian H.
    constants : tuple of int
        Codes of the links of the family's parameters where they have no predictor: LOG, LOGIT or
        IDENTITY.
    given : compiled function
        ``given(trials, i)``: what row i is given beside its response.

    Returns
    -------
    callable
        For `kernel` to compile.
    """
    n_parameters = 1 + len(constants)
    without = sum((1 + link) << (_BITS * k) for k, link in enumerate(constants, start=1))

    @called(name)
    def rows(  # type: ignore[no-untyped-def]
        link, n, y, trials, eta, phi, order, value, first, second, by_phi
    ):
        links = np.zeros(n_parameters, dtype=np.int64)
        place, constant = (
            np.zeros(n_parameters, dtype=np.int64),
            np.zeros(n_parameters, dtype=np.int64),
        )
        slope = np.zeros(n_parameters)
        a, g = np.zeros(n_parameters), np.zeros(n_parameters)
        H = np.zeros((n_parameters, n_parameters))
        links[0] = link & _MASK
        m, n_phi = 1, 0
        for k in range(1, n_parameters):
            code = (link >> (_BITS * k)) & _MASK
            if code > 0:
                links[k], place[k] = code - 1, m
                m += 1
                continue
            links[k], place[k] = ((without >> (_BITS * k)) & _MASK) - 1, -1
            x = phi[n_phi]
            constant[k], by_phi[n_phi] = n_phi, 0.0
            n_phi += 1
            if links[k] == LOGIT:
                a[k] = math.log(x) - np.log1p(-x)
                slope[k] = 1.0 / (x * (1.0 - x))
            elif links[k] == IDENTITY:
                a[k], slope[k] = x, 1.0
            else:
                a[k] = math.log(x)
                slope[k] = 1.0 / x
        total = 0.0
        for i in range(n):
            for k in range(n_parameters):
                if place[k] >= 0:
                    a[k] = eta[place[k] * n + i]
            s = row(y[i], given(trials, i), links, a, order, g, H)
            if not s > -np.inf:
                return -np.inf
            total += s
            if order > 0:
                for k in range(n_parameters):
                    if place[k] >= 0:
                        first[place[k] * n + i] = g[k]
                    else:
                        by_phi[constant[k]] += g[k] * slope[k]
            if order > 1:
                value[i] = s
                for k in range(n_parameters):
                    at = place[k]
                    for j in range(k + 1):
                        if at >= 0 and place[j] >= 0:
                            second[(at * (at + 1) // 2 + place[j]) * n + i] = H[k, j]
        return total

    return rows


@inner
def chain(k: int, slope: float, bend: float, order: int, g: np.ndarray, H: np.ndarray) -> None:
    """Bring derivatives by a parameter's value to those by its link-scale value."""
    if order > 1:
        for j in range(k):
            H[k, j] *= slope
        for j in range(k + 1, len(g)):
            H[j, k] *= slope
        H[k, k] = H[k, k] * slope * slope + g[k] * bend
    g[k] *= slope
