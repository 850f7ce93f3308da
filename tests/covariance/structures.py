"""Two structures that the package does not have, entered from outside through its seam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

import bayesmix as bmx
from bayesmix.covariance import STRUCTURES, Covariance, Parameter
from bayesmix.design import Block
from bayesmix.priors.resolve import resolve_priors


class Tied(Covariance):
    """One sd, one correlation down to -1 / (size - 1); the root in closed form."""

    word = "tied"
    tied = True
    kernels = "root"

    def parameters(self) -> tuple[Parameter, ...]:
        lower = -1.0 / (self.size - 1)
        prior = {"lower": lower, "upper": 1.0}
        return (Parameter(name="rho", lower=lower, upper=1.0, distribution="Uniform", prior=prior),)

    @staticmethod
    def fill(size: int, values: Any, data: Any, C: Any) -> None:
        rho, above_lower, below_one = values[0], values[1], values[2]
        for j in range(size):
            before = 1.0 + (j - 1) * rho
            own = 1.0 + j * rho
            if j == size - 1:
                own = j * above_lower
            C[j * size + j] = np.sqrt(below_one * own / before)
            for i in range(j + 1, size):
                C[i * size + j] = rho * below_one / (before * C[j * size + j])

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, C: Any, by_C: Any, by: Any) -> None:
        rho, above_lower, below_one = values[0], values[1], values[2]
        for j in range(size):
            before = 1.0 + (j - 1) * rho
            own = 1.0 + j * rho
            if j == size - 1:
                own = j * above_lower
            by_log = 0.5 * (j / own - 1.0 / below_one - (j - 1) / before)
            by[0] += by_C[j * size + j] * C[j * size + j] * by_log
            ratio = below_one / (before * C[j * size + j])
            slope = ratio + rho * ratio * (-1.0 / below_one - (j - 1) / before - by_log)
            for i in range(j + 1, size):
                by[0] += by_C[i * size + j] * slope

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        rho = pm.Uniform(variables["rho"], **priors["rho"].parameters)
        R = (1 - rho) * pt.eye(self.size) + rho * pt.ones((self.size, self.size))
        return pt.linalg.cholesky(R)

    def latex(self, symbols: Mapping[str, str]) -> str:
        return symbols["rho"]


class Decay(Covariance):
    """An sd for each effect, exp(-distance / range); the algebra takes the Cholesky factor."""

    word = "decay"
    kernels = "correlation"

    def parameters(self) -> tuple[Parameter, ...]:
        unit = float(np.median(self.distances()[np.tril_indices(self.size, -1)]))
        prior = {"mu": float(np.log(unit)), "sigma": 1.0}
        return (
            Parameter(name="range", lower=0.0, upper=np.inf, distribution="LogNormal",
                      prior=prior, unit=unit),
        )  # fmt: skip

    def distances(self) -> np.ndarray:
        assert self.positions is not None
        gaps = self.positions[:, None] - self.positions[None]
        return np.asarray(np.sqrt((gaps**2).sum(axis=-1)))

    def data(self) -> np.ndarray:
        return self.distances().ravel()

    @staticmethod
    def fill(size: int, values: Any, data: Any, R: Any) -> None:
        for i in range(size * size):
            R[i] = np.exp(-data[i] / values[0])

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, R: Any, by_R: Any, by: Any) -> None:
        for i in range(size * size):
            by[0] += by_R[i] * R[i] * data[i] / (values[0] * values[0])

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any:
        import pymc as pm
        import pytensor.tensor as pt

        reach = pm.LogNormal(variables["range"], **priors["range"].parameters)
        return pt.linalg.cholesky(pt.exp(-self.distances() / reach))


@contextmanager
def entered() -> Iterator[None]:
    """The two structures among those of the package."""
    STRUCTURES.update({cls.word: cls for cls in (Tied, Decay)})
    try:
        yield
    finally:
        for cls in (Tied, Decay):
            del STRUCTURES[cls.word]


def with_structure(
    model: bmx.Model, group: str, words: Mapping[int, str], positions: np.ndarray | None = None
) -> bmx.Model:
    """The same model with other structures for some blocks of a grouping factor."""

    def changed(number: int, block: Block) -> Block:
        if number not in words:
            return block
        where = None if positions is None else positions[: block.size]
        return replace(block, structure=words[number], positions=where)

    groups = tuple(
        replace(g, blocks=tuple(changed(k, b) for k, b in enumerate(g.blocks)))
        if g.name == group else g
        for g in model.design.mu.groups
    )  # fmt: skip
    mu = replace(model.design.mu, groups=groups)
    design = replace(model.design, predictors={**model.design.predictors, "mu": mu})
    return model.with_parts(design=design, priors=resolve_priors(design, model.family, model.y))
