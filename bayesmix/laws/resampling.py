"""One of the bootstrap's ways for one fit: what there is to refit, and by which algebra."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayesmix.laws.cases import Cases
from bayesmix.laws.laplace import LaplaceLaw
from bayesmix.laws.laplace_refits import LaplaceCases, LaplaceRefits
from bayesmix.laws.refit import Refit, Refitting
from bayesmix.laws.refits import Refits
from bayesmix.laws.refits_anew import RefitsAnew, parameters_of
from bayesmix.laws.resampled import ResponseKind, resampled

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.statement.stated import StatedModel

__all__ = ["BootstrapKind", "Resampling", "refit_of"]

BootstrapKind = Literal["parametric", "semiparametric", "cases", "wild"]


class Resampling:
    """Refits of one law.

    Parameters
    ----------
    law : NormalLaw
        By REML or ML, or by Laplace's approximation.
    """

    def __init__(self, law: NormalLaw) -> None:
        self.law = law
        related = any(g.between is not None for g in law.model.design.mu.groups)
        self._sums_stay = law.problem.equations.classes is None and not related

    def drawn(self, kind: BootstrapKind, n: int, seed: tuple[int, ...]) -> Refitting:
        """Draw n responses, or n samples of cases.

        Parameters
        ----------
        kind : {"parametric", "semiparametric", "cases", "wild"}
        n : int
        seed : tuple of int

        Returns
        -------
        Refitting
        """
        if kind != "cases":
            return self.to(self.responses(kind, n, seed))
        cases = self.cases
        return self._anew(lambda k: cases.drawn(np.random.default_rng((*seed, k))))

    def responses(self, kind: ResponseKind, n: int, seed: tuple[int, ...]) -> np.ndarray:
        """Draw n responses, shape (rows, n)."""
        return resampled(self.law, kind, n, np.random.default_rng(seed))

    def to(self, Y: np.ndarray) -> Refitting:
        """Refit to responses, shape (n, B)."""
        law = self.law
        if isinstance(law, LaplaceLaw):
            return LaplaceRefits(law, Y)
        if not self._sums_stay:
            return RefitsAnew(law, lambda k: law.model.with_parts(y=Y[:, k].copy()))
        return self._refits.refitting(Y)

    def left_out(self) -> tuple[Refitting, int]:
        """Leave out each level of the coarsest grouping factor; and their number."""
        cases = Cases(self.law.model, nested=False)
        return self._anew(cases.without), cases.n

    @functools.cached_property
    def cases(self) -> Cases:
        """What ``kind="cases"`` draws."""
        return Cases(self.law.model, nested=True)

    @functools.cached_property
    def _refits(self) -> Refits:
        return Refits(self.law)

    def _anew(self, model_of: Callable[[int], StatedModel]) -> Refitting:
        if isinstance(self.law, LaplaceLaw):
            return LaplaceCases(self.law, model_of)
        return RefitsAnew(self.law, model_of)


def refit_of(law: NormalLaw) -> Refit:
    """The fit itself as a refit, with its conditional modes."""
    sd, corr = law.by_group()
    return Refit(
        beta=law.conditional.beta,
        sd=sd,
        corr=corr,
        structure=law.structure_at(*law.absolute),
        parameters=parameters_of(law),
        effects=dict(law.conditional.b),
        deviance=law.deviance,
        converged=law.optimum.converged,
    )
