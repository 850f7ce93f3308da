"""LKJ correlation matrices from canonical partial correlations, in PyTensor."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["lkj_cholesky"]


def lkj_cholesky(name: str, size: int, eta: float) -> Any:
    """Add an LKJ-distributed correlation matrix to the PyMC model on the context stack.

    The C-vine of Lewandowski, Kurowicka and Joe (2009): the partial correlations
    of a vine are independent and, scaled to (0, 1), Beta distributed. One vector
    of Beta variables gives the Cholesky factor of R, and its prior draws are
    exact (PyMC's own sampler for this distribution is too narrow from size 3 on).

    Parameters
    ----------
    name : str
        Name of the Beta vector, which has size (size - 1) / 2 elements.
    size : int
        Number of correlated effects, at least 2.
    eta : float
        Shape; 1 is uniform over correlation matrices.

    Returns
    -------
    TensorVariable, shape (size, size)
        Lower triangular L with L L' = R.

    References
    ----------
    Lewandowski, D., Kurowicka, D. and Joe, H. (2009). Generating random
    correlation matrices based on vines and extended onion method. Journal of
    Multivariate Analysis 100, section 2.
    """
    import pymc as pm
    import pytensor.tensor as pt

    rows, columns = np.tril_indices(size, -1)
    shape = eta + (size - 2 - columns) / 2
    unit = pm.Beta(name, alpha=shape, beta=shape, shape=shape.shape)
    partial = 2 * unit - 1
    if size == 2:
        rho = partial[0]
        return pt.stack([pt.stack([1.0, 0.0]), pt.stack([rho, pt.sqrt(1 - rho**2)])])
    below = pt.zeros((size, size))[rows, columns].set(partial)
    left = pt.cumprod(pt.sqrt(1 - below**2), axis=1)
    shifted = pt.concatenate([pt.ones((size, 1)), left[:, :-1]], axis=1)
    return (below + pt.eye(size)) * pt.tril(shifted)
