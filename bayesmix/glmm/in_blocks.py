"""Sums over a block of rows: what Newton's method and Laplace's gradient need of all rows.

The rows of one linear predictor may lie in blocks, one of them in memory at a time. A pass at given
coefficients adds the log density and the weighted products of each block to what the others have
added; two further passes at the mode add what the gradient needs of third derivatives, and of the
shift that these make.
"""

from __future__ import annotations

import numpy as np
from numba import carray, types

from bayesmix.gaussian.equations import equations_at
from bayesmix.gaussian.factorisation import factorise
from bayesmix.gaussian.linking import FLOATS, INTS, f8, i8, kernel, shifted
from bayesmix.gaussian.triangular import add_half_solved, backward_solve
from bayesmix.glmm.data import rows_at
from bayesmix.glmm.laplace import add_by_parameters, add_priors, leverages, third_derivatives
from bayesmix.glmm.mode import add_weighted, complete_root
from bayesmix.glmm.predictor import evaluate, gather, predictor

__all__ = ["add_block", "add_shift", "add_third", "newton_point", "prior_density"]

_factorise, _backward = factorise.external, backward_solve.external


@kernel(f8, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, i8, i8, INTS)
def add_block(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, row_ints, row_floats, address, phi, beta, b, with_fixed, concave, clipped
):
    """Add the weighted products of a block's rows to the equations.

    Parameters
    ----------
    eq_ints, eq_floats : ndarray
        The arrays of `Equations`, whose products are added to.
    row_ints, row_floats : ndarray
        The arrays of `RowData`, of one linear predictor.
    address : int
        Address of the family's row kernel.
    phi, beta, b : ndarray
        The family's parameters, working coefficients and working effects.
    with_fixed : int
        Whether beta is to be moved as well, or given.
    concave : int
        Whether weights below zero are taken as zero, so that a step goes uphill.
    clipped : ndarray, shape (1,)
        Receives the number of such weights, added to what stands there.

    Returns
    -------
    float
        Log density of the rows; where it is not finite nothing has been added.
    """
    eq, rows = equations_at(eq_ints, eq_floats), rows_at(row_ints, row_floats)
    n, p, n_phi = rows.sizes[0], rows.sizes[1], rows.sizes[3]
    phi_, beta_ = carray(phi, (max(n_phi, 1),)), carray(beta, (p,))
    b_ = carray(b, (rows.u_start[-1],))
    eta, value, first, second = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    w, work, by_phi = np.empty(n), np.empty(n), np.empty(n_phi + 4)
    predictor(eq, rows, beta_, b_, eta)
    total = evaluate(rows, address, phi_, 2, eta, value, first, second, by_phi)
    if not np.isfinite(total):
        return total
    for i in range(n):
        w[i] = -second[i]
        if not w[i] > 0.0:
            clipped[0] += 1
            if concave != 0:
                w[i] = 0.0
    add_weighted(eq, rows, beta_, eta, first, w, work, with_fixed)
    return total


@kernel(
    i8, INTS, FLOATS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    needs=(factorise, backward_solve),
)  # fmt: skip
def newton_point(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, L, with_fixed, prior, prior_y, K, panels, root, new_u, new_root, scalars
):
    """Factor the equations that all blocks have made, and solve them.

    Parameters
    ----------
    eq_ints, eq_floats, L, with_fixed, prior, prior_y
        As of `find_mode` and `factorise`.
    K, panels, root : ndarray
        Receive the factor.
    new_u : ndarray
        Receives the effects that Newton's method goes to.
    new_root : ndarray
        Receives, in its last places, the coefficients, where these are not given.
    scalars : ndarray, shape (6,)
        Receives log|M_uu| first.

    Returns
    -------
    int
        0 if the Hessian is not negative definite, else 1.
    """
    eq = equations_at(eq_ints, eq_floats)
    r, p = eq.sizes[3], eq.sizes[4]
    n_u = 0
    for f in range(eq.n_factors):
        n_u += eq.q[f] * eq.n_levels[f]
    u_, root_ = carray(new_u, (n_u,)), carray(new_root, (r + p,))
    complete_root(eq)
    fine = _factorise(
        eq_ints, eq_floats, L, 1.0, prior, prior_y, K, panels, root, new_root, scalars
    )
    if fine == 0:
        return 0
    u_[:] = 0.0
    add_half_solved(eq, panels, u_)
    if with_fixed == 0:
        for j in range(p):
            root_[r + j] = 0.0
    _backward(eq_ints, eq_floats, K, panels, root, with_fixed, new_u, new_root)
    for i in range(r):
        u_[n_u - r + i] = root_[i]
    return 1


@kernel(
    f8, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    FLOATS,
)  # fmt: skip
def add_third(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, row_ints, row_floats, address, L, phi, beta, b, diagonal, across, inverse,
    out,
):  # fmt: skip
    """Add X'v and Z'v of a block's rows, v half of leverage times third derivative, and scores.

    Parameters
    ----------
    eq_ints, eq_floats, row_ints, row_floats, address, L, phi, beta, b
        As of `add_block`, at the mode.
    diagonal, across, inverse : ndarray
        From `inverse_moments`.
    out : ndarray, shape (2, p + n_u)
        Receives the products with v, then those with the rows' first derivatives.

    Returns
    -------
    float
        Log density of the rows.
    """
    eq, rows = equations_at(eq_ints, eq_floats), rows_at(row_ints, row_floats)
    n, p, n_phi, n_u = rows.sizes[0], rows.sizes[1], rows.sizes[3], rows.u_start[-1]
    n_root = eq.n_root
    phi_, beta_ = carray(phi, (max(n_phi, 1),)), carray(beta, (p,))
    eta, value, first, second = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    by_phi, h, v = np.empty(n_phi + 4), np.empty(n), np.empty(n)
    predictor(eq, rows, beta_, carray(b, (n_u,)), eta)
    total = evaluate(rows, address, phi_, 2, eta, value, first, second, by_phi)
    leverages(
        eq, rows, carray(L, (eq.L_start[eq.n_factors],)), carray(diagonal, (eq.K_size,)),
        carray(across, (eq.panel_size,)), carray(inverse, (n_root, n_root)), h,
    )  # fmt: skip
    third_derivatives(rows, address, phi_, eta, second, h, v)
    by_beta, by_b = np.empty(p), np.empty(n_u)
    sums = carray(out, (2, p + n_u))
    for k in range(2):
        gather(eq, rows, v if k == 0 else first, by_beta, by_b)
        for j in range(p):
            sums[k, j] += by_beta[j]
        for j in range(n_u):
            sums[k, p + j] += by_b[j]
    return total


@kernel(
    types.void, INTS, FLOATS, INTS, FLOATS, i8, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
    FLOATS, FLOATS, FLOATS, FLOATS, FLOATS,
)  # fmt: skip
def add_shift(  # type: ignore[no-untyped-def]
    eq_ints, eq_floats, row_ints, row_floats, address, L, phi, x_phi, beta, b, b_shift, diagonal,
    across, inverse, out, by_x,
):  # fmt: skip
    """Add X's and Z's of a block's rows, s weight times shift, and derivatives by parameters.

    Parameters
    ----------
    eq_ints, eq_floats, row_ints, row_floats, address, L, phi, beta, b, diagonal, across, inverse
        As of `add_third`.
    x_phi : ndarray
        Coordinates of the family's parameters.
    b_shift : ndarray
        The working effects' shift.
    out : ndarray, shape (p + n_u,)
        Receives the products, added to what stands there.
    by_x : ndarray, shape (n_phi,)
        The same of the derivatives by `x_phi`.
    """
    eq, rows = equations_at(eq_ints, eq_floats), rows_at(row_ints, row_floats)
    n, p, n_phi, n_u = rows.sizes[0], rows.sizes[1], rows.sizes[3], rows.u_start[-1]
    n_root = eq.n_root
    phi_, beta_ = carray(phi, (max(n_phi, 1),)), carray(beta, (p,))
    eta, value, first, second = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    by_phi, h, shift = np.empty(n_phi + 4), np.empty(n), np.empty(n)
    predictor(eq, rows, beta_, carray(b, (n_u,)), eta)
    evaluate(rows, address, phi_, 2, eta, value, first, second, by_phi)
    predictor(eq, rows, np.zeros(p), carray(b_shift, (n_u,)), shift)
    weighted = value
    for i in range(n):
        shift[i] -= rows.offset[i]
        weighted[i] = second[i] * shift[i]
    by_beta, by_b = np.empty(p), np.empty(n_u)
    gather(eq, rows, weighted, by_beta, by_b)
    for j in range(p):
        out[j] += by_beta[j]
    sums = shifted(out, p)
    for j in range(n_u):
        sums[j] += by_b[j]
    if n_phi > 0:
        leverages(
            eq, rows, carray(L, (eq.L_start[eq.n_factors],)), carray(diagonal, (eq.K_size,)),
            carray(across, (eq.panel_size,)), carray(inverse, (n_root, n_root)), h,
        )  # fmt: skip
        add_by_parameters(
            rows, address, phi_, carray(x_phi, (n_phi,)), eta, first, second, h, shift,
            carray(by_x, (n_phi,)),
        )  # fmt: skip


@kernel(f8, INTS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, i8, i8, FLOATS)
def prior_density(  # type: ignore[no-untyped-def]
    row_ints, row_floats, phi, beta, prior, prior_mean, d, jacobian, gradient
):
    """Log prior density of beta and of the family's parameters, added to the gradient.

    Parameters
    ----------
    row_ints, row_floats : ndarray
        The arrays of any `RowData` of the model.
    phi, beta : ndarray
    prior, prior_mean : ndarray
        Precision and mean of beta.
    d : int
        Number of coordinates before those of the family's parameters.
    jacobian : int
        Whether that of the coordinates is part of it.
    gradient : ndarray
    """
    rows = rows_at(row_ints, row_floats)
    p, n_phi = rows.sizes[1], rows.sizes[3]
    return add_priors(
        rows, carray(phi, (max(n_phi, 1),)), carray(beta, (p,)), carray(prior, (p, p)),
        carray(prior_mean, (p,)), d, jacobian != 0, carray(gradient, (d + n_phi + p,)),
    )  # fmt: skip
