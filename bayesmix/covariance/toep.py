"""Effects in the order of time, with a correlation for each gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.covariance.base import NUGGET, Conditional, Covariance, Parameter
from bayesmix.errors import NotSupportedError

__all__ = ["Toeplitz"]

_MOST = 200  # steps


class Toeplitz(Covariance):
    """``toep(time | g)``: an sd for each whole-number time, a correlation for each gap.

    Estimated are the partial autocorrelations, ``partial_k`` between effects k steps apart given
    those between them: each may be any number between -1 and 1, and whatever they are, all
    correlations fit together (Barndorff-Nielsen and Schou 1973). ``partial_1`` is the
    correlation at one step. Coordinates are logits of their places between -1 and 1, whose ends
    are infinitely far. The recursion of Durbin and Levinson makes correlations of them.

    A step is the largest one of which all gaps are multiples. Effects at times that nobody
    has are in between: the correlation at a gap that does not occur follows from the prior.

    References
    ----------
    Barndorff-Nielsen, O. and Schou, G. (1973). On the parametrization of autoregressive models
    by partial autocorrelations. Journal of Multivariate Analysis 3, 408-419.
    """

    word = "toep"
    kernels = "correlation"

    @property
    def step(self) -> int:
        """Largest step of which all gaps are multiples."""
        return int(np.gcd.reduce(np.rint(self.gaps()[1:]).astype(np.int64)))

    def lags(self) -> np.ndarray:
        """Number of steps between all pairs of positions, shape (size, size)."""
        at = np.rint(np.cumsum(self.gaps())).astype(np.int64) // max(self.step, 1)
        return np.asarray(np.abs(at[:, None] - at))

    def parameters(self) -> tuple[Parameter, ...]:
        """``partial_1``, ``partial_2`` and so on."""
        if self.size == 1:
            return ()
        n_steps = int(self.lags().max())
        if n_steps > _MOST:
            raise NotSupportedError(
                f"{self.word} has a correlation for each of {n_steps} steps between its positions, "
                f"and at most {_MOST} are known; ar1 and ou have one parameter for any gap"
            )
        return tuple(
            Parameter(name=f"partial_{k}", lower=-1.0, upper=1.0, distribution="Uniform",
                      prior={"lower": -1.0, "upper": 1.0})
            for k in range(1, n_steps + 1)
        )  # fmt: skip

    def data(self) -> np.ndarray:
        """Number of partial autocorrelations; then all lags, flat."""
        lags = self.lags().ravel()
        return np.concatenate([[lags.max()], lags]).astype(np.float64)

    @staticmethod
    def fill(size: int, values: Any, data: Any, R: Any) -> None:
        """Write R."""
        n = int(data[0])
        nothing = 0.0 * values[0]
        r, a, before = [nothing] * (n + 1), [nothing] * (n + 1), [nothing] * (n + 1)
        r[0] = nothing + 1.0
        left = nothing + 1.0
        for k in range(1, n + 1):
            phi = values[3 * (k - 1)]
            r[k] = phi * left
            for j in range(1, k):
                before[j] = a[j]
                r[k] = r[k] + a[j] * r[k - j]
            for j in range(1, k):
                a[j] = before[j] - phi * before[k - j]
            a[k] = phi
            left = left * values[3 * (k - 1) + 1] * values[3 * (k - 1) + 2]
        for i in range(size * size):
            R[i] = r[int(data[1 + i])]

    @staticmethod
    def pull_back(size: int, values: Any, data: Any, R: Any, by_R: Any, by_values: Any) -> None:  # noqa: ARG004
        """Go through the recursion again, then back; row k of A has the k-th coefficients."""
        n = int(data[0])
        m = n + 1
        r, by_r = np.zeros(m), np.zeros(m)
        A, left = np.zeros(m * m), np.ones(m)
        r[0] = 1.0
        for k in range(1, m):
            phi = values[3 * (k - 1)]
            r[k] = phi * left[k - 1]
            for j in range(1, k):
                r[k] += A[(k - 1) * m + j] * r[k - j]
                A[k * m + j] = A[(k - 1) * m + j] - phi * A[(k - 1) * m + k - j]
            A[k * m + k] = phi
            left[k] = left[k - 1] * values[3 * (k - 1) + 1] * values[3 * (k - 1) + 2]
        for i in range(size * size):
            by_r[int(data[1 + i])] += by_R[i]
        by_a, by_before, by_left = np.zeros(m), np.zeros(m), 0.0
        for back in range(1, m):
            k = m - back
            phi = values[3 * (k - 1)]
            by_phi = by_a[k] + by_r[k] * left[k - 1] - 2.0 * phi * by_left * left[k - 1]
            by_left = by_left * values[3 * (k - 1) + 1] * values[3 * (k - 1) + 2] + by_r[k] * phi
            for j in range(1, k):
                by_phi -= by_a[j] * A[(k - 1) * m + k - j]
                by_before[j] = by_a[j] - phi * by_a[k - j] + by_r[k] * r[k - j]
                by_r[k - j] += by_r[k] * A[(k - 1) * m + j]
            for j in range(1, k):
                by_a[j] = by_before[j]
            by_values[k - 1] += by_phi

    def autocorrelations(self, partials: list[Any]) -> list[Any]:
        """Correlations at 0, 1, 2, ... steps; of arrays or of variables of PyTensor."""
        r: list[Any] = [partials[0] * 0.0 + 1.0]
        a: list[Any] = []
        left: Any = 1.0
        for k, phi in enumerate(partials, 1):
            r.append(phi * left + sum(a[j] * r[k - 1 - j] for j in range(k - 1)))
            a = [a[j] - phi * a[k - 2 - j] for j in range(k - 1)] + [phi]
            left = left * (1.0 - phi**2)
        return r

    def pymc_root(self, variables: Mapping[str, str], priors: Mapping[str, Any]) -> Any | None:
        """Cholesky factor of the same correlations."""
        import pytensor.tensor as pt

        partials = [self.pymc_parameter(p.name, variables, priors) for p in self.parameters()]
        return self.pymc_cholesky(pt.stack(self.autocorrelations(partials))[self.lags()])

    def latex(self, symbols: Mapping[str, str]) -> str | None:
        """Entries of the correlation matrix."""
        return None if self.size == 1 else r"\rho_{|t_i - t_j|}"

    def conditional(self, values: Mapping[str, np.ndarray], positions: np.ndarray) -> Conditional:
        """Law of effects at times within the span and on the grid of those that are known.

        Raises
        ------
        NotSupportedError
            For other times: no correlation has been estimated that far, or in between.
        """
        if self.positions is None:
            return super().conditional(values, positions)  # which says what is missing
        both = np.concatenate([self.positions, positions])[:, 0]
        lags = np.abs(both[:, None] - both) / self.step
        known = np.rint(lags).astype(np.int64)
        if not np.allclose(lags, known) or known.max() > len(self.parameters()):
            raise NotSupportedError(
                f"{self.word} has correlations for gaps of {self.step} to "
                f"{self.step * len(self.parameters())} in steps of {self.step}, and none for "
                "some of the new positions; take ar1, which has one for every gap"
            )
        r = np.stack(self.autocorrelations([values[p.name] for p in self.parameters()]), axis=-1)
        C, n = np.linalg.cholesky(r[:, known] + NUGGET * np.eye(len(both))), self.size
        weights = np.linalg.solve(np.swapaxes(C[:, :n, :n], 1, 2), np.swapaxes(C[:, n:, :n], 1, 2))
        return Conditional(weights=np.swapaxes(weights, 1, 2), root=C[:, n:, n:])
