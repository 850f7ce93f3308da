"""How a vector of coordinates divides among standard deviations and structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from bayesmix.gaussian.linking import inlined, shifted
from bayesmix.gaussian.packing import HEADER, Packed
from bayesmix.gaussian.residual_coordinates import ResidualCoordinates
from bayesmix.gaussian.roots import CODES, kernel_addresses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmix.covariance import Covariance

__all__ = ["Coordinates", "Theta", "theta_at"]


class Coordinates(Packed):
    """How a vector of coordinates divides, with the priors of what it stands for.

    The first coordinates are those of the standard deviations, the next those of each
    block's structure, the last that of the residual standard deviation. Effects may share
    a standard deviation; arrays of standard deviations have one for each effect.

    Attributes
    ----------
    sizes : ndarray of int64
        Number of coordinates, of coordinates of standard deviations, of blocks with
        coordinates of their own, and 1 if the residual standard deviation is estimated.
    sd_start : ndarray of int64, shape (n_factors,)
        First effect of each factor, in an array of all factors' standard deviations.
    effect_sd : ndarray of int64, shape (n_effects,)
        Coordinate of each effect's standard deviation.
    q, L_start : ndarray of int64, shape (n_factors,)
    block_factor, block_first, block_size, block_x : ndarray of int64
        For each block with coordinates of its own, the factor, the first effect, the
        size, and the first of these coordinates.
    block_code : ndarray of int64
        How its root follows from them: `VINE`, `ROOT`, `CORRELATION` or `COVARIANCE`.
    block_n, block_value, block_data : ndarray of int64
        Its number of parameters, the first of them, and of the numbers in `data`; none
        under `VINE`.
    block_fill, block_pull : ndarray of int64
        Addresses of its kernels in this process; 0 under `VINE`.
    value_kind : ndarray of int64, shape (n_values,)
        Code of the prior of each parameter.
    eta : ndarray, shape (n_blocks,)
        Shape of each block's LKJ prior, under `VINE`.
    prior_kind : ndarray of int64, shape (n_sd + 1,)
        Code of the prior of each standard deviation, the residual's last.
    prior_a, prior_b : ndarray, shape (n_sd + 1,)
        Their parameters.
    T : ndarray
        Each factor's q x q change to working columns, in units of the working
        response, flat like L.
    unit : ndarray, shape (1,)
        Unit of the working response.
    value_a, value_b : ndarray, shape (n_values,)
        Parameters of the priors of the structures' parameters.
    value_lower, value_width : ndarray, shape (n_values,)
        Lower end and width of their ranges; a width of 0 for what is positive, of -1 for
        what has no ends: then its center in place of the lower one.
    value_unit : ndarray, shape (n_values,)
        Unit of what has no upper end.
    value_below, value_above : ndarray, shape (n_values,)
        How much further the ends of the parameters' own ranges are.
    data : ndarray
        What the structures' kernels are given.
    scaled : ndarray of int64, shape (n_factors,)
        1 where a factor's T is diagonal, so that T diag(sd) C is triangular as it is.
    structures : tuple of type
        The class of each block's covariance.
    phi : ResidualCoordinates or None
        Further coordinates, behind all these: the residual structure's.
    """

    _INTS = (
        "sizes", "sd_start", "q", "L_start", "block_factor", "block_first", "block_size",
        "block_x", "prior_kind", "effect_sd", "block_code", "block_n", "block_value", "block_data",
        "block_fill", "block_pull", "value_kind", "scaled",
    )  # fmt: skip
    _FLOATS = (
        "eta", "prior_a", "prior_b", "T", "unit", "value_a", "value_b", "value_lower",
        "value_width", "value_unit", "data", "value_below", "value_above",
    )  # fmt: skip
    _BESIDE = ("phi",)

    phi: ResidualCoordinates | None = None

    sizes: np.ndarray
    sd_start: np.ndarray
    q: np.ndarray
    L_start: np.ndarray
    block_factor: np.ndarray
    block_first: np.ndarray
    block_size: np.ndarray
    block_x: np.ndarray
    prior_kind: np.ndarray
    effect_sd: np.ndarray
    block_code: np.ndarray
    block_n: np.ndarray
    block_value: np.ndarray
    block_data: np.ndarray
    block_fill: np.ndarray
    block_pull: np.ndarray
    value_kind: np.ndarray
    scaled: np.ndarray
    eta: np.ndarray
    prior_a: np.ndarray
    prior_b: np.ndarray
    T: np.ndarray
    unit: np.ndarray
    value_a: np.ndarray
    value_b: np.ndarray
    value_lower: np.ndarray
    value_width: np.ndarray
    value_unit: np.ndarray
    data: np.ndarray
    value_below: np.ndarray
    value_above: np.ndarray
    structures: tuple[type[Covariance], ...]

    def __init__(self, *, structures: Sequence[type[Covariance]], **arrays: Any) -> None:
        self.structures = tuple(structures)
        addresses = [kernel_addresses(structure) for structure in self.structures]
        super().__init__(
            block_code=[CODES[structure.kernels] for structure in self.structures],
            block_fill=[fill for fill, _ in addresses],
            block_pull=[pull for _, pull in addresses],
            scaled=[_is_diagonal(T) for T in _squares(arrays["T"], arrays["q"])],
            **arrays,
        )

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values for some of the arrays."""
        made = super().replace(**changes)
        if "T" in changes:
            made.scaled[:] = [_is_diagonal(T) for T in _squares(made.T, made.q)]
        return made

    def with_sigma(self) -> Self:
        """Coordinates relative to sigma as absolute ones, with sigma's behind them."""
        return self.replace(
            sizes=[self.n_x + 1, self.n_sd, self.n_blocks, 1], T=self.T / self.unit[0]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what it is made from, by name: addresses are those of a process."""
        made = {"block_code", "block_fill", "block_pull", "scaled"}
        return {k: v for k, v in super().as_dict().items() if k not in made} | {
            "structures": self.structures
        }

    @property
    def n_x(self) -> int:
        """Number of coordinates of theta."""
        return int(self.sizes[0])

    @property
    def n_phi(self) -> int:
        """Number of coordinates behind these, of the residual structure."""
        return 0 if self.phi is None else len(self.phi.support)

    @property
    def n_all(self) -> int:
        """Number of coordinates with those behind."""
        return self.n_x + self.n_phi

    @property
    def n_sd(self) -> int:
        """Number of standard deviations of effects; some may share one."""
        return int(self.sizes[1])

    @property
    def n_blocks(self) -> int:
        """Number of blocks with coordinates of their own."""
        return int(self.sizes[2])

    @property
    def n_sigma(self) -> int:
        """1 if the residual standard deviation is estimated, the last coordinate; else 0."""
        return int(self.sizes[3])

    @property
    def effect_of_sd(self) -> np.ndarray:
        """The first effect that has each standard deviation, shape (n_sd,)."""
        if len(self.effect_sd) == self.n_sd:  # each has its own
            return np.arange(self.n_sd)
        return np.unique(self.effect_sd, return_index=True)[1]

    @property
    def n_structure(self) -> int:
        """Number of coordinates of the structures."""
        return self.n_x - self.n_sd - self.n_sigma

    def coordinates_of_block(self, block: int) -> slice:
        """Range of a block's coordinates."""
        ends = [*self.block_x.tolist(), self.n_sd + self.n_structure]
        return slice(ends[block], ends[block + 1])

    def effects_of_block(self, block: int) -> slice:
        """Range of a block's effects, in an array of all factors' effects."""
        start = int(self.sd_start[self.block_factor[block]] + self.block_first[block])
        return slice(start, start + int(self.block_size[block]))


def _squares(flat: np.ndarray, q: np.ndarray) -> list[np.ndarray]:
    """The q x q matrices that lie flat behind each other."""
    ends = np.cumsum(np.asarray(q) ** 2)
    return [flat[end - n * n : end].reshape(n, n) for n, end in zip(q, ends, strict=True)]


def _is_diagonal(T: np.ndarray) -> bool:
    return bool(np.count_nonzero(T) == np.count_nonzero(np.diag(T)))


class Theta(NamedTuple):
    """The same arrays within a kernel, as pointers, and the lengths that kernels ask for."""

    sizes: Any
    sd_start: Any
    q: Any
    L_start: Any
    block_factor: Any
    block_first: Any
    block_size: Any
    block_x: Any
    prior_kind: Any
    effect_sd: Any
    block_code: Any
    block_n: Any
    block_value: Any
    block_data: Any
    block_fill: Any
    block_pull: Any
    value_kind: Any
    scaled: Any
    eta: Any
    prior_a: Any
    prior_b: Any
    T: Any
    unit: Any
    value_a: Any
    value_b: Any
    value_lower: Any
    value_width: Any
    value_unit: Any
    data: Any
    value_below: Any
    value_above: Any
    n_factors: Any
    n_effects: Any
    L_size: Any


_I = HEADER  # where the offsets of the integer arrays start
_F = HEADER + len(Coordinates._INTS) + 1


@inlined
def theta_at(a, b):  # type: ignore[no-untyped-def]
    """Return the arrays of `Coordinates`, from the addresses of its buffers."""
    return Theta(
        shifted(a, a[_I]), shifted(a, a[_I + 1]), shifted(a, a[_I + 2]), shifted(a, a[_I + 3]),
        shifted(a, a[_I + 4]), shifted(a, a[_I + 5]), shifted(a, a[_I + 6]), shifted(a, a[_I + 7]),
        shifted(a, a[_I + 8]), shifted(a, a[_I + 9]), shifted(a, a[_I + 10]),
        shifted(a, a[_I + 11]), shifted(a, a[_I + 12]), shifted(a, a[_I + 13]),
        shifted(a, a[_I + 14]), shifted(a, a[_I + 15]), shifted(a, a[_I + 16]),
        shifted(a, a[_I + 17]), shifted(b, a[_F]), shifted(b, a[_F + 1]), shifted(b, a[_F + 2]),
        shifted(b, a[_F + 3]), shifted(b, a[_F + 4]), shifted(b, a[_F + 5]), shifted(b, a[_F + 6]),
        shifted(b, a[_F + 7]), shifted(b, a[_F + 8]), shifted(b, a[_F + 9]),
        shifted(b, a[_F + 10]), shifted(b, a[_F + 11]), shifted(b, a[_F + 12]),
        a[_I + 3] - a[_I + 2], a[_I + 10] - a[_I + 9],
        a[_F + 4] - a[_F + 3],
    )  # fmt: skip
