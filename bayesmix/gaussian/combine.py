"""The equations at given parameters of the residual structure: the classes' sum."""

from __future__ import annotations

import numpy as np
from numba import types

from bayesmix.gaussian.coordinates import Coordinates
from bayesmix.gaussian.equations import Equations
from bayesmix.gaussian.linking import FLOATS, INTS, i8, kernel, shifted
from bayesmix.gaussian.residual_classes import call_coefficients, classes_at
from bayesmix.gaussian.residual_coordinates import parameter_at, phi_at

__all__ = ["combine", "equations_for", "separate_theta"]


@kernel(types.void, INTS, FLOATS, i8, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS)
def combine(  # type: ignore[no-untyped-def]
    class_ints, class_floats, address, phi_ints, phi_floats, x, c, by_x, log_det, products
):
    """Add up the products at the coordinates x of phi.

    Parameters
    ----------
    class_ints, class_floats, phi_ints, phi_floats : ndarray
        The arrays of `ResidualClasses` and of `ResidualCoordinates`.
    address : int
        Address of the compiled coefficients.
    x : ndarray, shape (n_phi,)
    c : ndarray, shape (K,)
        Receives the coefficients.
    by_x : ndarray, shape (K, n_phi)
        Receives their derivatives.
    log_det : ndarray, shape (1 + n_phi,)
        Receives the log determinant of the sum of the M_k, then its derivatives.
    products : ndarray
        Receives the sum, laid out like the floats of `Equations`.
    """
    classes, co = classes_at(class_ints, class_floats), phi_at(phi_ints, phi_floats)
    K, n_phi, size = classes.sizes[0], classes.sizes[1], classes.sizes[2]
    phi, slope, four = np.empty(n_phi + 1), np.empty(n_phi + 1), np.empty(4)
    for j in range(n_phi):
        parameter_at(co.support[j], co.lower[j], co.upper[j], x[j], four)
        phi[j], slope[j] = four[0], four[1]
    call_coefficients(address, classes.numbers, classes.table, phi.ctypes, c, by_x, log_det)
    for j in range(n_phi):
        log_det[1 + j] *= slope[j]
    for i in range(size):
        products[i] = 0.0
    for k in range(K):
        for j in range(n_phi):
            by_x[k * n_phi + j] *= slope[j]
        own = shifted(classes.products, k * size)
        for i in range(size):
            products[i] += c[k] * own[i]


def separate_theta(co: Coordinates, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Divide coordinates into those of theta and those of phi.

    Parameters
    ----------
    co : Coordinates
    x : ndarray, shape (..., n_x)

    Returns
    -------
    ndarray, shape (..., d)
    ndarray, shape (..., n_phi)
    """
    d = int(co.sizes[0])
    return np.ascontiguousarray(x[..., :d]), np.ascontiguousarray(x[..., d:])


def equations_for(eq: Equations, co: Coordinates, x: np.ndarray) -> Equations:
    """Return the equations at one vector of coordinates; the same where there is no phi.

    Parameters
    ----------
    eq : Equations
    co : Coordinates
    x : ndarray, shape (n_x,)

    Returns
    -------
    Equations
    """
    classes, phi = eq.classes, co.phi
    if classes is None or phi is None:
        return eq
    K, n_phi, size = (int(n) for n in classes.sizes)
    out = type(eq)(**eq.as_dict())
    combine(
        classes.ints, classes.floats, classes.address(), phi.ints, phi.floats,
        separate_theta(co, x)[1], np.empty(K), np.empty(K * n_phi), np.empty(1 + n_phi),
        out.floats,
    )  # fmt: skip
    assert size == len(out.floats)  # noqa: S101
    return out
