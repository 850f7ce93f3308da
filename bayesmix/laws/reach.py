"""Effects at positions that the fit has not seen: a later time, another place."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.covariance import Part, covariance_of
from bayesmix.design.reach import places_among
from bayesmix.errors import NotSupportedError
from bayesmix.laws.levels import GroupScale, covariance_roots, name_key
from bayesmix.memory import check_memory

if TYPE_CHECKING:
    from bayesmix.design import GroupingFactor
    from bayesmix.laws.parameters import ParameterDraws
    from bayesmix.statement.stated import StatedModel

__all__ = ["MOST_NEW_POSITIONS", "Reach", "reaches", "reaching_draws"]

MOST_NEW_POSITIONS = 400  # whose joint law is factored, draw by draw
_AT_ONCE = 4_000_000  # numbers of the covariances of some draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """A grouping factor of the fit, and the same with further positions.

    Attributes
    ----------
    old, new : GroupingFactor
    places : ndarray of int, shape (q,)
        Where the effects of the fit are among all.
    """

    old: GroupingFactor
    new: GroupingFactor
    places: np.ndarray

    def sd(self, sd: np.ndarray) -> np.ndarray:
        """Standard deviations of all effects, shape (..., Q), from those of shape (..., q)."""
        out = np.empty((*sd.shape[:-1], self.new.n_effects))
        for old, new in self._parts():
            out[..., new.effects] = sd[..., old.effects][..., :1]
        out[..., self.places] = sd
        return out

    def correlation(
        self, corr: np.ndarray | None, structure: Mapping[str, np.ndarray]
    ) -> np.ndarray | None:
        """Correlation matrices of all effects, shape (..., Q, Q)."""
        free = None
        if corr is not None:
            Q = self.new.n_effects
            free = np.broadcast_to(np.eye(Q), (*corr.shape[:-2], Q, Q)).copy()
            free[..., self.places[:, None], self.places] = corr
        return covariance_of(self.new).correlation(free, dict(structure))

    def effects(
        self,
        b: np.ndarray,
        sd: np.ndarray,
        structure: Mapping[str, np.ndarray],
        rng: np.random.Generator | None,
    ) -> np.ndarray:
        """Effects at all positions, given those of the fit.

        Parameters
        ----------
        b : ndarray, shape (q, levels, S)
        sd : ndarray, shape (S, q)
        structure : mapping of str to ndarray, shape (S,)
        rng : Generator, or None
            For draws from the conditional law; None for its mean.

        Returns
        -------
        ndarray, shape (Q, levels, S)
        """
        _, n_levels, n = b.shape
        out = np.empty((self.new.n_effects, n_levels, n))
        out[self.places] = b
        for old, new in self._parts():
            added = np.setdiff1d(np.arange(new.start, new.stop), self.places)
            if not added.size:
                continue
            at = new.covariance.positions
            where = np.zeros((len(added), 0)) if at is None else at[added - new.start]
            noise = None if rng is None else rng.standard_normal((len(added), n_levels, n))
            step = max(1, _AT_ONCE // new.size**2)
            for start in range(0, n, step):
                some = slice(start, min(start + step, n))
                values = {
                    p.name: structure[name][some] for name, p in old.named_parameters().items()
                }
                found = old.covariance.conditional(values, where)
                mean = np.einsum("smq,qls->mls", found.weights, b[old.effects, :, some])
                if noise is not None:
                    scale = sd[some, old.start][:, None, None] * found.root
                    mean += np.einsum("smk,kls->mls", scale, noise[:, :, some])
                out[added, :, some] = mean
        return out

    def _parts(self) -> Iterator[tuple[Part, Part]]:
        parts = covariance_of(self.old).parts, covariance_of(self.new).parts
        yield from zip(*parts, strict=True)

    def check(self, structure: Mapping[str, np.ndarray]) -> None:
        """Refuse structures that do not say how new positions go with the old.

        Raises
        ------
        NotSupportedError
        """
        for old, new in self._parts():
            if new.size == old.size:
                continue
            if self.old.between is not None:
                raise NotSupportedError(
                    f"effects by `{self.old.name}` are related between levels, and those at "
                    "positions that the model has not seen are not to be had: predict with "
                    'groups="population"'
                )
            word, added = old.covariance.word, new.size - old.size
            fresh = sorted(set(self.new.effects[new.effects]) - set(self.old.effects))[0]
            alone, together = old.covariance.parameters(), new.covariance.parameters()
            if not old.covariance.tied or len(alone) != len(together):
                what = "an sd for each position" if not old.covariance.tied else (
                    "a correlation for each distance in time"
                )  # fmt: skip
                raise NotSupportedError(
                    f"{word} has {what}, and the model has not seen {fresh}, of which it says "
                    'nothing: predict with groups="population", or fit ar1 in its place'
                )
            if added > MOST_NEW_POSITIONS:
                raise NotSupportedError(
                    f"the rows have {added} positions that the model has not seen, {fresh} among "
                    f"them, and {MOST_NEW_POSITIONS} are the most at once; give fewer rows at a "
                    "time"
                )
            for name, parameter in new.named_parameters().items():
                beyond = structure[name] < parameter.lower
                if np.any(beyond):
                    raise NotSupportedError(
                        f"{name} of `{self.old.name}` is {np.min(structure[name]):.3g}, which "
                        f"{word} cannot have for {new.size} positions: predict with "
                        'groups="population"'
                    )


def reaches(model: StatedModel, wider: StatedModel, parameter: str = "mu") -> dict[str, Reach]:
    """Grouping factors of a predictor that have further positions in the second model, by name."""
    before, after = (one.design.predictors[parameter].groups for one in (model, wider))
    return {
        old.name: Reach(old=old, new=new, places=places_among(old, new))
        for old, new in zip(before, after, strict=True)
        if old.n_effects != new.n_effects
    }


def reaching_draws(
    found: ParameterDraws,
    given: Mapping[str, tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]],
    reached: Mapping[str, Reach],
    seed: int,
    parameter: str = "mu",
) -> ParameterDraws:
    """Add effects at further positions to draws, each drawn given those of the fit.

    Parameters
    ----------
    found : ParameterDraws
    given : mapping of str to tuple
        By grouping factor, draws of the standard deviations, correlations and parameters
        of structures.
    reached : mapping of str to Reach
    seed : int
    parameter : str
        The predictor whose effects these are.

    Returns
    -------
    ParameterDraws
    """
    b, scales = dict(found.b), dict(found.scales)
    owner = "" if parameter == "mu" else f"{parameter}: "
    for name, reach in reached.items():
        sd, corr, structure = given[name]
        reach.check(structure)
        if not reach.old.integrates:
            raise NotSupportedError(
                f"effects of `{name}` at positions that the model has not seen are drawn where its "
                'levels are independent and normal: predict with groups="population"'
            )
        if name in b:
            words = [seed, name_key("effects at new positions"), name_key(owner + name)]
            rng = np.random.default_rng(np.random.SeedSequence(words))
            b[name] = reach.effects(b[name], sd, structure, rng)
        scales[name] = GroupScale(
            owner + name, functools.partial(_roots, reach, sd, corr, structure)
        )
    return replace(found, b=b, scales=scales)


def _roots(
    reach: Reach, sd: np.ndarray, corr: np.ndarray | None, structure: Mapping[str, np.ndarray]
) -> np.ndarray:
    check_memory(
        f"covariances of {reach.new.n_effects} effects by `{reach.new.name}`",
        2 * len(sd) * reach.new.n_effects**2,
        "ask for fewer draws with draws=, or give fewer rows at a time",
    )
    return covariance_roots(reach.sd(sd), reach.correlation(corr, structure))
