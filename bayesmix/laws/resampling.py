"""One of the bootstrap's ways for one fit: what there is to refit, and by which algebra."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import NotSupportedError
from bayesmix.laws.cases import Cases
from bayesmix.laws.joint_laplace import JointLaplace
from bayesmix.laws.laplace import LaplaceLaw
from bayesmix.laws.laplace_refits import LaplaceCases, LaplaceRefits
from bayesmix.laws.ran_away import RanAway
from bayesmix.laws.refit import Refit, Refitting
from bayesmix.laws.refits import Refits
from bayesmix.laws.refits_anew import RefitsAnew, parameters_of
from bayesmix.laws.refits_law import RefitsLaw
from bayesmix.laws.resampled import BootstrapKind, ResponseKind, resampled

if TYPE_CHECKING:
    from bayesmix.laws.normal import NormalLaw
    from bayesmix.statement.stated import StatedModel

__all__ = ["Resampling"]


class Resampling:
    """Refits of one law.

    Parameters
    ----------
    law : NormalLaw or JointLaplace
        By REML or ML, or by Laplace's approximation.
    """

    def __init__(self, law: Any) -> None:
        if law.why_no_refits:
            raise NotSupportedError(law.why_no_refits)
        self.law = law
        # Where there are several linear predictors, all of their columns together are refitted.
        self._whole: NormalLaw = law.whole if isinstance(law, JointLaplace) else law
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
        """Draw n responses, shape (rows, n); of counts (rows, n, K)."""
        return resampled(self.law, kind, n, np.random.default_rng(seed))

    def to(self, Y: np.ndarray) -> Refitting:
        """Refit to responses, shape (n, B) or (n, B, K)."""
        law = self._whole
        if isinstance(law, LaplaceLaw):
            return LaplaceRefits(law, Y)
        if not self._sums_stay:
            return RefitsAnew(law, lambda k: law.model.with_parts(y=Y[:, k].copy()))
        return self._refits.refitting(Y)

    def left_out(self) -> tuple[Refitting, int]:
        """Leave out each level of the coarsest grouping factor; and their number."""
        cases = Cases(self.law.model, nested=False)
        return self._anew(cases.without), cases.n

    def of_fit(self) -> Refit:
        """The fit itself as a refit, with its conditional modes."""
        law = self._whole
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
            ran_away=(
                law.ran_away(law.gp_by_row, law.laplace, law.model.y)
                if isinstance(law, LaplaceLaw)
                else None
            ),
        )

    def law_of(self, refits: Sequence[Refit], seed: int) -> RefitsLaw:
        """The law whose draws are refits, each linear predictor's.

        Parameters
        ----------
        refits : sequence of Refit
        seed : int
            Seed of what is drawn beside them.

        Returns
        -------
        RefitsLaw
        """
        model = self.law.model

        def gathered(of: Callable[[Refit], Any]) -> np.ndarray:
            return np.stack([np.asarray(of(refit)) for refit in refits])[None]

        beta = gathered(lambda r: r.beta)
        gone = tuple(r.ran_away for r in refits)
        parameters = {n: gathered(lambda r, n=n: r.parameters[n]) for n in refits[0].parameters}  # type: ignore[misc]

        def law(
            parameter: str, names: Mapping[str, str], beta: np.ndarray,
            gone: tuple[RanAway | None, ...] = gone,
        ) -> RefitsLaw:  # fmt: skip
            """That of one predictor, whose groups are called `names` in refits."""

            def by_group(of: Callable[[Refit], Mapping[str, Any]]) -> dict[str, np.ndarray]:
                known = {g: there for g, there in names.items() if there in of(refits[0])}
                return {g: gathered(lambda r, t=t: of(r)[t]) for g, t in known.items()}  # type: ignore[misc]

            structure = {
                g: {
                    name: gathered(lambda r, t=t, name=name: r.structure[t][name])  # type: ignore[misc]
                    for name in refits[0].structure[t]
                }
                for g, t in names.items()
                if t in refits[0].structure
            }
            return RefitsLaw(
                model=model, parameter=parameter, beta=beta, sd=by_group(lambda r: r.sd),
                corr=by_group(lambda r: r.corr), structure=structure,
                b=by_group(lambda r: r.effects), labels=(np.arange(1), np.arange(len(refits))),
                seed=seed, gone=gone,
            )  # fmt: skip

        if isinstance(self.law, JointLaplace):
            places = {name: self.law.place_of(name) for name in self.law.predictors}
            parts = {
                n: law(n, names, beta[..., at], tuple(g and g.of(at) for g in gone))
                for n, (at, names) in places.items()
            }
            mu = parts.pop("mu")
            return replace(mu, parameters=parameters, others=parts)
        others = {}
        if "sigma" in model.design.predictors:  # of a normal response
            own = parameters.pop(model.names.of("sigma").beta)
            others["sigma"] = law("sigma", {}, own, (None,) * len(refits))
        mu = law("mu", {g.name: g.name for g in model.design.mu.groups}, beta)
        return replace(mu, parameters=parameters, others=others)

    def ran_away(self, refits: Sequence[Refit]) -> dict[str, int]:
        """In how many refits coefficients or thresholds have no finite estimate, by their names."""
        model = self._whole.model
        names = list(model.design.mu.fixed_effects)
        gone = [r.ran_away for r in refits if r.ran_away is not None]
        lost = [one.limits(np.eye(len(names))) != 0 for one in gone]
        if any(one.thresholds is not None for one in gone):
            labels = model.family.parameter_labels(model.design.response)["thresholds"]
            names += [f"thresholds[{label}]" for label in labels]
            lost = [
                np.append(own, one.limits_of_thresholds() != 0)
                for own, one in zip(lost, gone, strict=True)
            ]
        counts = np.sum(lost, axis=0).tolist() if lost else []
        return {name: k for name, k in zip(names, counts, strict=False) if k}

    @functools.cached_property
    def cases(self) -> Cases:
        """What ``kind="cases"`` draws."""
        return Cases(self.law.model, nested=True)

    @functools.cached_property
    def _refits(self) -> Refits:
        return Refits(self.law)

    def _anew(self, model_of: Callable[[int], StatedModel]) -> Refitting:
        if isinstance(self._whole, LaplaceLaw):
            return LaplaceCases(self._whole, model_of)
        return RefitsAnew(self._whole, model_of)
