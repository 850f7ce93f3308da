"""The covariances of all blocks of a grouping factor, and how its parameters are numbered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.covariance.ar1 import AR1
from bayesmix.covariance.base import Covariance, Parameter
from bayesmix.covariance.cs import CompoundSymmetry
from bayesmix.covariance.diagonal import Diagonal
from bayesmix.covariance.exp import Exponential
from bayesmix.covariance.gau import SquaredExponential
from bayesmix.covariance.hetar1 import HetAR1
from bayesmix.covariance.homcs import HomCS
from bayesmix.covariance.homdiag import HomDiag
from bayesmix.covariance.homtoep import HomToeplitz
from bayesmix.covariance.mat import Matern
from bayesmix.covariance.ou import OrnsteinUhlenbeck
from bayesmix.covariance.rr import ReducedRank
from bayesmix.covariance.toep import Toeplitz
from bayesmix.covariance.unstructured import Unstructured
from bayesmix.design import Block, GroupingFactor
from bayesmix.errors import NotSupportedError

__all__ = ["STRUCTURES", "GroupCovariance", "Part", "covariance_of", "structure_of"]

STRUCTURES: dict[str, type[Covariance]] = {
    cls.word: cls
    for cls in (
        Unstructured, Diagonal, HomDiag, CompoundSymmetry, HomCS, AR1, HetAR1, OrnsteinUhlenbeck,
        Toeplitz, HomToeplitz, Exponential, SquaredExponential, Matern, ReducedRank,
    )
}  # fmt: skip


# Degrees of freedom of a level's effects: Juarez and Steel (2010), as brms has it.
DEGREES = Parameter(
    name="df", lower=0.0, upper=np.inf, distribution="Gamma", prior={"alpha": 2.0, "beta": 0.1},
    unit=10.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One block of a grouping factor with its covariance.

    Attributes
    ----------
    start, stop : int
        Half-open range among the effects of the grouping factor.
    sd_start : int
        Its first standard deviation among those of the grouping factor.
    covariance : Covariance
    suffix : str
        What the names of its parameters end with: empty where no other part of the
        grouping factor has parameters of that name.
    """

    start: int
    stop: int
    sd_start: int
    covariance: Covariance
    suffix: str

    @property
    def size(self) -> int:
        """Number of effects."""
        return self.covariance.size

    @property
    def effects(self) -> slice:
        """Range among the effects of the grouping factor."""
        return slice(self.start, self.stop)

    def named_parameters(self) -> dict[str, Parameter]:
        """Parameters by the name that the grouping factor has for them: ``rho``, ``rho_1``."""
        return {f"{p.name}{self.suffix}": p for p in self.covariance.parameters()}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCovariance:
    """The covariance of one level's effects: block by block.

    Attributes
    ----------
    parts : tuple of Part
    sd_of_effect : ndarray of int, shape (q,)
        Position of each effect's standard deviation among those of the grouping factor.
    effect_of_sd : ndarray of int, shape (n_sd,)
        The first effect that has a standard deviation.
    sd_labels : tuple of str
    is_student : bool
        Whether a level's effects have degrees of freedom, ``df``, beside.
    """

    parts: tuple[Part, ...]
    sd_of_effect: np.ndarray
    effect_of_sd: np.ndarray
    sd_labels: tuple[str, ...]
    is_student: bool = False

    @property
    def n_sd(self) -> int:
        """Number of standard deviations."""
        return len(self.effect_of_sd)

    @property
    def n_coordinates(self) -> int:
        """Number of parameters: standard deviations, and what the structures have beside."""
        return self.n_sd + sum(part.covariance.n_coordinates for part in self.parts)

    @property
    def tied(self) -> bool:
        """Whether some effects share a standard deviation."""
        return self.n_sd < len(self.sd_of_effect)

    @property
    def with_coordinates(self) -> tuple[Part, ...]:
        """Parts that have coordinates beside those of their standard deviations."""
        return tuple(part for part in self.parts if part.covariance.n_coordinates)

    @property
    def free(self) -> tuple[Part, ...]:
        """Parts in which each pair of effects has a correlation of its own."""
        return tuple(part for part in self.with_coordinates if part.covariance.free_correlations)

    @property
    def has_correlations(self) -> bool:
        """Whether a correlation matrix is among the parameters."""
        return bool(self.free)

    @property
    def is_diagonal(self) -> bool:
        """Whether no two effects are correlated."""
        return not self.with_coordinates

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of effects whose correlation is a parameter, by their positions."""
        return tuple(
            (k, m)
            for part in self.free
            for k in range(part.start, part.stop)
            for m in range(k + 1, part.stop)
        )

    def parameters(self) -> dict[str, Parameter]:
        """Return what all parts have beside standard deviations and free correlations."""
        found: dict[str, Parameter] = {}
        for part in self.parts:
            found |= part.named_parameters()
        return found | ({DEGREES.name: DEGREES} if self.is_student else {})

    def sd_names(self, group: str) -> tuple[str, ...]:
        """Names of the standard deviations of a grouping factor: ``sd(g, x)``, ``sd(s(x))``."""
        return tuple(
            f"sd({group})" if label == group else f"sd({group}, {label})"
            for label in self.sd_labels
        )

    @property
    def sds(self) -> tuple[tuple[int, str], ...]:
        """The first effect of each standard deviation, and its name."""
        return tuple(zip(self.effect_of_sd.tolist(), self.sd_labels, strict=True))

    def by_effect(
        self, values: np.ndarray, parameters: dict[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """Spread what there is for each standard deviation over effects, on the last axis.

        Parameters
        ----------
        values : ndarray, shape (..., n_sd)
        parameters : dict of str to ndarray, shape (...), optional
            By the names of `parameters`: with them standard deviations become those of the
            effects where a structure makes these differ.
        """
        if not self.tied:
            return values
        out = values[..., self.sd_of_effect]
        given = parameters or {}
        for part in self.parts if given else ():
            if part.covariance.kernels == "covariance":
                own = {p.name: np.ravel(given[n]) for n, p in part.named_parameters().items()}
                shape = (*values.shape[:-1], part.size)
                out[..., part.effects] *= part.covariance.lengths(own).reshape(shape)
        return out

    def by_sd(self, values: np.ndarray) -> np.ndarray:
        """Take what there is for each effect once for each standard deviation."""
        return values[..., self.effect_of_sd] if self.tied else values

    def sum_by_sd(self, values: np.ndarray) -> np.ndarray:
        """Add up what there is for each effect over those that share a standard deviation."""
        if not self.tied:
            return values
        return np.stack(
            [values[..., self.sd_of_effect == k].sum(axis=-1) for k in range(self.n_sd)], axis=-1
        )

    def correlation(
        self, free: np.ndarray | None, parameters: dict[str, np.ndarray]
    ) -> np.ndarray | None:
        """Correlation matrix of a level's effects at values of the parameters.

        Parameters
        ----------
        free : ndarray, shape (..., q, q), or None
            Free correlations.
        parameters : dict of str to ndarray, shape (...)
            By the names of `parameters`.

        Returns
        -------
        ndarray, shape (..., q, q), or None
            None where no two effects are correlated.
        """
        parameters = {n: values for n, values in parameters.items() if n != DEGREES.name}
        if not parameters:
            return free
        shape = next(iter(parameters.values())).shape
        q = len(self.sd_of_effect)
        out = np.broadcast_to(np.eye(q), (*shape, q, q)).copy() if free is None else free.copy()
        for part in self.parts:
            own = part.named_parameters()
            if not own:
                continue
            C = part.covariance.roots({p.name: np.ravel(parameters[n]) for n, p in own.items()})
            size = part.size
            R = (C @ np.swapaxes(C, 1, 2)).reshape(*shape, size, size)
            out[..., part.effects, part.effects] = R
        return out


def structure_of(block: Block) -> Covariance:
    """Return the covariance of a block.

    Raises
    ------
    NotSupportedError
        If there is no such structure.
    """
    if block.structure not in STRUCTURES:
        raise NotSupportedError(
            f"the covariance structure {block.structure} is not available; there are "
            f"{', '.join(STRUCTURES)}"
        )
    return STRUCTURES[block.structure](block.size, block.positions, **block.options)


def covariance_of(group: GroupingFactor) -> GroupCovariance:
    """Return the covariance of a grouping factor's effects.

    Parameters
    ----------
    group : GroupingFactor

    Returns
    -------
    GroupCovariance
    """
    structures = [structure_of(block) for block in group.blocks]
    names = [p.name for structure in structures for p in structure.parameters()]
    parts: list[Part] = []
    of_effect: list[int] = []
    first: list[int] = []
    labels: list[str] = []
    for number, (block, own) in enumerate(zip(group.blocks, structures, strict=True)):
        at = len(first)
        several = any(names.count(p.name) > 1 for p in own.parameters())
        parts.append(
            Part(start=block.start, stop=block.stop, sd_start=at, covariance=own,
                 suffix=f"_{number}" if several else "")
        )  # fmt: skip
        of_effect += [at + (0 if own.tied else k) for k in range(block.size)]
        first += [block.start + k for k in range(own.n_sd)]
        known = own.sd_labels(group.effects[block.start : block.stop])
        labels += (block.label,) if block.label else known
    return GroupCovariance(
        parts=tuple(parts),
        sd_of_effect=np.asarray(of_effect, dtype=np.int64),
        effect_of_sd=np.asarray(first, dtype=np.int64),
        sd_labels=tuple(labels),
        is_student=group.is_student,
    )
