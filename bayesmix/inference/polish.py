"""Newton steps of bounded length, for ends that quasi-Newton steps leave unfinished."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["bounded_newton"]

_STEPS = 60
_HALVINGS = 30
_WIDTH = 1e-5
_BEYOND = 1e100  # of a curvature: no eigenvalues are found
_LONGEST = 2.0  # of a step, in logarithms


def bounded_newton(
    of: Callable[[np.ndarray], tuple[float, np.ndarray]], z: np.ndarray, lower: np.ndarray,
    upper: np.ndarray, tolerance: float,
) -> np.ndarray:  # fmt: skip
    """Descend where the scales of the coordinates differ by orders of magnitude.

    The Hessian is that of differences of the gradient, with its eigenvalues made
    positive (a saddle is left along its direction of descent); a step that does not
    descend is halved.

    Parameters
    ----------
    of : callable
        Value and gradient.
    z : ndarray
        Start.
    lower, upper : ndarray
        Bounds.
    tolerance : float
        Largest component of the gradient at which it ends.

    Returns
    -------
    ndarray
        No worse than the start.
    """
    value, gradient = of(z)
    for _ in range(_STEPS):
        inner = ~(((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0)))
        if not np.isfinite(gradient).all() or np.abs(gradient[inner]).max(initial=0) < tolerance:
            break
        change = np.zeros((z.size, z.size))
        for i, step in enumerate(_WIDTH * np.eye(z.size)):
            change[i] = (of(z + step)[1] - of(z - step)[1]) / (2 * _WIDTH)
        if not np.abs(change).max() < _BEYOND:
            break
        H = ((change + change.T) / 2)[np.ix_(inner, inner)]
        eigenvalues, vectors = np.linalg.eigh(H)
        # Flat directions are left as long as the step's bound lets them go.
        bend = np.maximum(np.abs(eigenvalues), 1e-9 * max(float(np.abs(eigenvalues).max()), 1.0))
        step = np.zeros(z.size)
        step[inner] = -vectors @ ((vectors.T @ gradient[inner]) / bend)
        step *= min(1.0, _LONGEST / max(float(np.abs(step).max()), 1e-300))
        for _ in range(_HALVINGS):
            new = np.clip(z + step, lower, upper)
            new_value, new_gradient = of(new)
            if new_value < value:
                break
            step *= 0.5
        else:
            break
        z, value, gradient = new, new_value, new_gradient
    return z
