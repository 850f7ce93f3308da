"""`Covariance`: the covariance of one block of a level's effects, and what it has to say.

Sigma = S C C' S, with S the diagonal matrix of the effects' standard deviations and C
the lower triangular root of a correlation matrix. A structure says how C follows from
a few numbers, and everything that is called by its name: its parameters with their
default priors, its statement in PyMC, its LaTeX, its words, and its rows in tables. The
algebra (`gaussian/`) sees C and its derivatives only, engines see coordinates only.

The interface
-------------
A structure is a class, entered under its `word` in `STRUCTURES`; an instance belongs to
one block, with the block's number of effects and their positions.

==========================  ==========================================================
``word``                    its name in formulas, ``Block.structure``
``tied``                    one standard deviation for all effects, or one for each
``one_scale``               whether the algebra scales the block's columns by one number
                            and neither centres them nor mixes them with others
``in_order``                whether effects follow one another along one axis, so that its
                            kernels take rising positions only
``any_columns``             whether effects of other columns (T b) have a covariance of
                            the same structure, so that a search may be among these
``free_correlations``       whether each pair of effects has a correlation of its own,
                            a row in `correlations()`, and the LKJ prior
``parameters()``            what it has beside standard deviations: names, ranges,
                            default priors
``n_coordinates``           number of unconstrained coordinates, beside those of the
                            standard deviations
``data()``                  numbers that its kernels are given (gaps, distances)
``kernels``                 which functions it has for the algebra (see below); "none" if C = I
``values_at(x)``            parameters by name at coordinates
``coordinates_of(values)``  the inverse map
``start()``                 coordinates where a search begins
``roots(values)``           C as arrays, by the same code as the kernel
``pymc_root(...)``          C in PyMC, with the parameters as variables
``latex(...)``, ``words``   for equations and printed models
``conditional(...)``        law of effects at positions that were not seen in fitting
==========================  ==========================================================

Kernels
-------
Two static functions in plain Python, with flat arrays, arithmetic and functions of NumPy
for one number (`np.exp`). `gaussian/roots.py` compiles them once on a machine to C
functions, which the algebra calls by address, so that no model compiles anything and
a structure from outside the package is as fast as one from within. Python runs the same
code for many draws at once: an element is then an array, so no `if` asks of a value.
`values` has three numbers for each parameter: itself, its distance from the lower end of
its range, and that from the upper end (1 where there is none), without cancellation. The
range is the parameter's, also where a uniform prior has narrower ends.

``kernels = "root"``: C in closed form.

- ``fill(size, values, data, C)`` writes the lower triangle of C, which is zero before.
- ``pull_back(size, values, data, C, by_C, by_values)`` adds to ``by_values`` the sum over
  i >= j of by_C[i, j] dC[i, j] / d value, a number for each parameter.

``kernels = "correlation"``: the correlation matrix R, whose Cholesky factor and its
derivatives are taken by the algebra.

- ``fill(size, values, data, R)`` writes all of R.
- ``pull_back(size, values, data, R, by_R, by_values)`` adds the sum over all i, j of
  by_R[i, j] dR[i, j] / d value.

`NUGGET` is added to the diagonal of R, so that effects which are one to rounding (places side
by side, a range far beyond all distances) still have a root. It says nothing of the data: it
would take an sd of a million residual ones.

Matrices are flat, row by row: entry (i, j) is ``C[i * size + j]``. C must not be
singular: a structure of reduced rank adds what is below notice to its diagonal.

``kernels = "covariance"``: the same functions for a covariance matrix in units of one sd that
all effects share (``tied``). The algebra takes the roots of its diagonal, `lengths`, for how
much larger the sd of an effect is, and the correlations as above.

Coordinates: a parameter between two ends is the logit of its place between them, one
without an upper end the logarithm of its size in `unit`, one without ends its distance from
`center` in `unit`. So a useful range lies within some ten units of zero, whatever the units of
the data, and no end is reached.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from bayesmix.errors import NotSupportedError

__all__ = ["NUGGET", "Conditional", "Covariance", "Parameter"]

NUGGET = 1e-12  # on the diagonal of correlation matrices, of which a Cholesky factor is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A number that a structure has beside its standard deviations.

    Attributes
    ----------
    name : str
        ``rho``, ``range``, ``shape``: that of the variable is ``rho_<g>``.
    lower, upper : float
        Ends of its range; an infinite `upper` for what is positive, both for any number.
    distribution : str
    prior : mapping of str to float
        The default prior: distribution and parameters.
    unit : float
        For what has no upper end, the size that its coordinate is relative to.
    center : float
        For what has no end, the value where its coordinate is zero.
    """

    name: str
    lower: float
    upper: float
    distribution: str
    prior: Mapping[str, float]
    unit: float = 1.0
    center: float = 0.0

    @property
    def is_real(self) -> bool:
        """Whether it may be any number."""
        return bool(np.isinf(self.lower))

    def at(self, x: np.ndarray) -> np.ndarray:
        """Value at a coordinate."""
        if self.is_real:
            return np.asarray(self.center + self.unit * x)
        if np.isinf(self.upper):
            return np.asarray(self.lower + self.unit * np.exp(x))
        return np.asarray(self.lower + (self.upper - self.lower) / (1.0 + np.exp(-x)))

    def coordinate(self, value: np.ndarray) -> np.ndarray:
        """Coordinate of a value; at an end of the range that of the nearest number within."""
        tiny = 1e-300
        if self.is_real:
            return np.asarray((value - self.center) / self.unit)
        if np.isinf(self.upper):
            return np.asarray(np.log(np.maximum((value - self.lower) / self.unit, tiny)))
        low, high = (np.maximum(d, tiny) for d in (value - self.lower, self.upper - value))
        return np.asarray(np.log(low) - np.log(high))

    def with_distances(self, value: np.ndarray) -> list[np.ndarray]:
        """Value, distance from the lower end, distance from the upper (1 if there is none)."""
        above = np.ones_like(value) if np.isinf(self.upper) else self.upper - value
        return [value, np.ones_like(value) if self.is_real else value - self.lower, above]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """Normal law of a level's effects at new positions, given those at the old ones.

    Attributes
    ----------
    weights : ndarray, shape (S, m, size)
        The mean is weights times the effects that are given.
    root : ndarray, shape (S, m, m)
        Lower triangular root of the covariance, in units of the standard deviations.
    """

    weights: np.ndarray
    root: np.ndarray


class Covariance(ABC):
    """The covariance of one block of effects; the module says what a structure has to say.

    Parameters
    ----------
    size : int
        Number of effects.
    positions : ndarray, shape (size, d), optional
        Where each effect is: times, or coordinates of places.
    """

    word: ClassVar[str]
    tied: ClassVar[bool] = False
    one_scale: ClassVar[bool] = True
    in_order: ClassVar[bool] = False
    any_columns: ClassVar[bool] = False
    free_correlations: ClassVar[bool] = False
    kernels: ClassVar[Literal["none", "vine", "root", "correlation", "covariance"]] = "root"
    fill: ClassVar[Callable[..., None]]
    pull_back: ClassVar[Callable[..., None]]

    def __init__(self, size: int, positions: np.ndarray | None = None) -> None:
        self.size, self.positions = size, positions

    @property
    def n_sd(self) -> int:
        """Number of standard deviations."""
        return 1 if self.tied else self.size

    @property
    def n_coordinates(self) -> int:
        """Number of unconstrained coordinates beside those of the standard deviations."""
        return len(self.parameters())

    @property
    def words(self) -> str:
        """What is said in brackets behind the effects' names; empty for nothing."""
        return self.word if self.size > 1 else ""

    def parameters(self) -> tuple[Parameter, ...]:
        """Return what it has beside standard deviations and free correlations."""
        return ()

    def data(self) -> np.ndarray:
        """Return the numbers that its kernels are given."""
        return np.zeros(0)

    def gaps(self) -> np.ndarray:
        """Return how far each position is behind the one before it; one where there are none."""
        if self.positions is None:
            return np.ones(self.size) - (np.arange(self.size) == 0)
        return np.diff(self.positions[:, 0], prepend=self.positions[0, 0])

    def sd_labels(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the standard deviations, in tables and priors."""
        if not self.tied:
            return effects
        if ")[" in effects[0] and self.positions is not None:  # ar1(occasion)[3]
            return (effects[0].partition(")[")[0] + ")",)
        return (f"{self.word}({', '.join(effects)})",)

    def start(self) -> np.ndarray:
        """Coordinates where a search begins, shape (n_coordinates,)."""
        return np.zeros(self.n_coordinates)

    def values_at(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters by name at coordinates of shape (..., n_coordinates)."""
        return {p.name: p.at(x[..., k]) for k, p in enumerate(self.parameters())}

    def coordinates_of(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Coordinates of given parameters, shape (S, n_coordinates).

        Parameters
        ----------
        values : mapping of str to ndarray, shape (S,)
            By name; with free correlations ``corr``, of shape (S, size, size).
        """
        return np.stack([p.coordinate(values[p.name]) for p in self.parameters()], axis=-1)

    def roots(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """C at given parameters of shape (S,), shape (S, size, size): lower triangular."""
        given = [(p, np.asarray(values[p.name], dtype=np.float64)) for p in self.parameters()]
        n = len(given[0][1]) if given else 1
        if not given:
            return np.broadcast_to(np.eye(self.size), (n, self.size, self.size))
        square = self._filled(given)
        if self.kernels == "root":
            return square
        if self.kernels == "covariance":
            lengths = _lengths(square)
            square = square / lengths[:, :, None] / lengths[:, None, :]
            square[:, range(self.size), range(self.size)] = 1.0
        return np.linalg.cholesky(square + NUGGET * np.eye(self.size))

    def lengths(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """How much larger each effect's sd is than the block's, shape (S, size)."""
        given = [(p, np.asarray(values[p.name], dtype=np.float64)) for p in self.parameters()]
        if self.kernels != "covariance" or not given:
            return np.ones((len(given[0][1]) if given else 1, self.size))
        return _lengths(self._filled(given))

    def _filled(self, given: list[tuple[Parameter, np.ndarray]]) -> np.ndarray:
        """What its function `fill` writes, shape (S, size, size)."""
        n = len(given[0][1])
        flat = [distance for p, value in given for distance in p.with_distances(value)]
        out = np.zeros((self.size**2, n))
        self.fill(self.size, np.asarray(flat), self.data(), out)
        return np.moveaxis(out.reshape(self.size, self.size, n), -1, 0)

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """State the parameters in the PyMC model on the context stack.

        Parameters
        ----------
        variables : mapping of str to str
            Name of each parameter's variable.
        priors : mapping of str to Prior
            By parameter; with free correlations ``corr``.

        Returns
        -------
        TensorVariable, shape (size, size), or None
            C; None for the identity.
        """
        raise NotSupportedError(f"the structure {self.word} has no statement in PyMC yet")

    def pymc_parameter(
        self, name: str, variables: Mapping[str, str], priors: Mapping[str, Any]
    ) -> Any:
        """Add a parameter to the PyMC model on the context stack.

        Parameters
        ----------
        name : str
        variables, priors : mapping
            As `pymc_root` has them.

        Returns
        -------
        TensorVariable, scalar
        """
        import pymc as pm

        prior = priors[name]
        return getattr(pm, prior.distribution)(variables[name], **prior.parameters)

    def pymc_cholesky(self, R: Any) -> Any:
        """Return the Cholesky factor of a correlation matrix, as the kernels take it."""
        import pytensor.tensor as pt

        return pt.linalg.cholesky(R + NUGGET * np.eye(self.size))

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        r"""Entries of the correlation matrix, such as ``\rho^{|t_i - t_j|}``; None for free ones.

        Parameters
        ----------
        symbols : mapping of str to str
            That of each parameter.
        """
        return None

    def conditional(self, values: Mapping[str, np.ndarray], positions: np.ndarray) -> Conditional:
        """Law of effects at positions that were not seen in fitting.

        The rows of the root of the structure with the new positions behind its own; a
        structure with a shorter way may say it.

        Parameters
        ----------
        values : mapping of str to ndarray, shape (S,)
        positions : ndarray, shape (m, d)

        Returns
        -------
        Conditional

        Raises
        ------
        NotSupportedError
            If effects have no positions.
        """
        if self.positions is None:
            raise NotSupportedError(f"effects of the structure {self.word} have no positions")
        both, n = np.concatenate([self.positions, positions]), self.size
        order = np.argsort(both[:, 0], kind="stable") if self.in_order else np.arange(len(both))
        C = np.empty_like(sorted_C := type(self)(len(both), both[order]).roots(values))
        C[:, order] = sorted_C
        if self.in_order:  # the rows of old and new effects, triangular again
            R = np.linalg.qr(np.swapaxes(C, 1, 2), mode="r")
            sign = np.where(np.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0)
            C = np.swapaxes(R * sign[:, :, None], 1, 2)
        weights = np.linalg.solve(np.swapaxes(C[:, :n, :n], 1, 2), np.swapaxes(C[:, n:, :n], 1, 2))
        return Conditional(weights=np.swapaxes(weights, 1, 2), root=C[:, n:, n:])


def _lengths(square: np.ndarray) -> np.ndarray:
    return np.maximum(np.sqrt(np.diagonal(square, axis1=1, axis2=2)), 1e-150)
