"""Many effects that follow from few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.covariance.base import Conditional, Covariance, Parameter
from bayesmix.errors import NotSupportedError

__all__ = ["ReducedRank"]


class ReducedRank(Covariance):
    """``rr(0 + f | g, d=2)``: effects are sums of d independent ones, Sigma = sd^2 A A'.

    A has a row of d loadings for each effect, and zeros above its diagonal, because a rotation
    of the d would leave Sigma as it is. The first loading is one: sd is the standard deviation
    of the first effect, and the others' loadings are relative to it. Loadings on the diagonal
    are positive, which is what a change of sign would leave open. So there are as many
    parameters as glmmTMB has, d size - d (d - 1) / 2 with sd.

    Loadings may be any number, and are their own coordinates; those on the diagonal are
    positive, and their coordinates logarithms, whose half-normal prior has neither end. An
    effect that hardly varies should not be the first: the others are told in units of it.

    The matrix is singular; `NUGGET` times each variance is the effect's own.

    Parameters
    ----------
    size : int
    positions : ndarray, optional
        It has no use of them.
    d : int
        Rank, at most `size`.
    """

    word = "rr"
    tied = True
    kernels = "covariance"

    def __init__(self, size: int, positions: np.ndarray | None = None, d: int = 2) -> None:
        super().__init__(size, positions)
        self.d = min(d, size)

    @property
    def words(self) -> str:
        """What is said in brackets behind the effects' names."""
        return f"of rank {self.d}" if self.size > 1 else ""

    def sd_labels(self, effects: tuple[str, ...]) -> tuple[str, ...]:
        """The effect whose sd is estimated."""
        return effects[:1]

    def parameters(self) -> tuple[Parameter, ...]:
        """``loading_2_1`` is that of the second effect on the first of the d."""
        found = []
        for k in range(self.d):
            for i in range(max(k, 1), self.size):
                own = i == k
                found.append(
                    Parameter(
                        name=f"loading_{i + 1}_{k + 1}", lower=0.0 if own else -np.inf,
                        upper=np.inf, distribution="HalfNormal" if own else "Normal",
                        prior={"sigma": 1.0} if own else {"mu": 0.0, "sigma": 1.0},
                        center=0.5 if k == 0 else 0.0,
                    )
                )  # fmt: skip
        return tuple(found)

    def data(self) -> np.ndarray:
        """The rank; then for each column of A, where row 0 would be among the parameters."""
        starts, at = [], -1
        for k in range(self.d):
            starts.append(at)
            at += self.size - k - 1
        return np.asarray([self.d, *starts], dtype=np.float64)

    @staticmethod
    def fill(size: int, values: Any, data: Any, R: Any) -> None:
        """Write A A'."""
        d = int(data[0])
        for i in range(size):
            for j in range(i + 1):
                s = 0.0 * values[0]
                for k in range(min(j + 1, d)):
                    at = int(data[1 + k])
                    left = 1.0 if i == 0 else values[3 * (at + i)]
                    right = 1.0 if j == 0 else values[3 * (at + j)]
                    s = s + left * right
                R[i * size + j] = s
                R[j * size + i] = s

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, R: Any, by_R: Any, by_values: Any) -> None:  # noqa: ARG004
        """Add the derivatives by the loadings."""
        d = int(data[0])
        for k in range(d):
            at = int(data[1 + k])
            for i in range(max(k, 1), size):
                s = 0.0
                for j in range(k, size):
                    right = 1.0 if j == 0 else values[3 * (at + j)]
                    s += (by_R[i * size + j] + by_R[j * size + i]) * right
                by_values[at + i] += s

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """Rows of the root, as long as the effect's sd is larger than the first one's."""
        import pytensor.tensor as pt

        A: Any = pt.zeros((self.size, self.d))[0, 0].set(1.0)
        for p in self.parameters():
            i, k = (int(number) - 1 for number in p.name.split("_")[1:])
            A = A[i, k].set(self.pymc_parameter(p.name, variables, priors))
        lengths = pt.maximum(pt.sqrt((A**2).sum(axis=1)), 1e-150)
        unit = A / lengths[:, None]
        return lengths[:, None] * self.pymc_cholesky(unit @ unit.T)

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        """Entries of the correlation matrix."""
        if self.size == 1:
            return None
        return r"\lambda_i' \lambda_j / (\|\lambda_i\| \|\lambda_j\|), \quad " + (
            rf"\lambda_i \in \mathbb{{R}}^{{{self.d}}}"
        )

    def conditional(self, values: Mapping[str, np.ndarray], positions: np.ndarray) -> Conditional:
        """A new effect has no loadings."""
        raise NotSupportedError("effects of reduced rank (rr) have no positions between them")
