"""Effects of groups that were not seen in fitting: drawn from the group distribution."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bayesmix.design import GroupingFactor
from bayesmix.design.between import Between

__all__ = ["GroupScale", "NewGroups", "covariance_roots", "name_key"]


def name_key(text: str) -> int:
    """Return 64 bits that stand for a name, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class GroupScale:
    """Draws of the distribution of one grouping factor's effects.

    Parameters
    ----------
    name : str
    root : ndarray, shape (S, q, q), or callable
        Lower triangular; its product with its transpose is Sigma. A callable returns it,
        and is called where it is needed: by new levels, and by averages over levels.
    between : Between, optional
        A known covariance between levels.
    mean_variance : float
        What Sigma is multiplied by for a level, averaged over the rows of the fit.
    df : ndarray, shape (S,), optional
        Degrees of freedom, where effects are multivariate t and Sigma is their scale.
    """

    def __init__(
        self,
        name: str,
        root: np.ndarray | Callable[[], np.ndarray],
        between: Between | None = None,
        mean_variance: float = 1.0,
        df: np.ndarray | None = None,
    ) -> None:
        self.name, self.between, self.mean_variance = name, between, mean_variance
        self.df = df
        self._root = root

    @functools.cached_property
    def root(self) -> np.ndarray:
        """Lower triangular roots of Sigma, shape (S, q, q)."""
        return self._root() if callable(self._root) else self._root

    def renamed(self, name: str) -> GroupScale:
        """Return the same distribution under another name."""
        return GroupScale(name, lambda: self.root, self.between, self.mean_variance, self.df)

    def row_variance(self, Z: np.ndarray) -> np.ndarray:
        """Variance z' Sigma z of each row's contribution, shape (n, S).

        Infinite where a t distribution has no variance.
        """
        total = np.zeros((len(Z), len(self.root)))
        for k in range(self.root.shape[2]):
            total += (Z @ self.root[:, :, k].T) ** 2
        if self.df is not None:
            total *= np.where(self.df > 2, self.df / np.maximum(self.df - 2, 1e-300), np.inf)
        return total if self.between is None else total * self.mean_variance


def covariance_roots(sd: np.ndarray, corr: np.ndarray | None) -> np.ndarray:
    """Triangular roots of Sigma = diag(sd) R diag(sd).

    Parameters
    ----------
    sd : ndarray, shape (S, q)
    corr : ndarray, shape (S, q, q), or None
        None where all effects are independent.

    Returns
    -------
    ndarray, shape (S, q, q)
    """
    if corr is None:
        root = np.zeros((*sd.shape, sd.shape[1]))
        at = np.arange(sd.shape[1])
        root[:, at, at] = sd
        return root
    try:
        factor = np.linalg.cholesky(corr)
    except np.linalg.LinAlgError:  # a correlation of 1 up to rounding
        values, vectors = np.linalg.eigh(corr)
        half = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        R = np.linalg.qr(np.swapaxes(half, 1, 2), mode="r")
        factor = np.swapaxes(R, 1, 2)
    return sd[:, :, None] * factor


class NewGroups:
    """Effects of the new and the unknown groups of some rows, without storing them.

    The draws of a new level depend on the seed, the grouping factor and the level's
    label alone: they are the same in all of its rows, in whatever order and pieces
    the rows are worked through, and in every call with the same seed. A row whose
    level is missing has a group of its own.

    Parameters
    ----------
    scale : GroupScale
    seed : int
    labels : ndarray of object, shape (m,)
        Label of each new row's level; None where it is missing.
    positions : ndarray of int, shape (m,)
        Positions of these rows in the data.
    """

    def __init__(
        self, scale: GroupScale, seed: int, labels: np.ndarray, positions: np.ndarray
    ) -> None:
        self._scale = scale
        words = np.random.SeedSequence([seed, name_key(scale.name)]).generate_state(2, np.uint64)
        self._key = words
        known: dict[str, int] = {}
        self._identity = np.empty(len(labels), dtype=np.uint64)
        self._missing = np.asarray([label is None for label in labels], dtype=bool)
        for i, label in enumerate(labels):
            if label is None:
                self._identity[i] = positions[i]
            else:
                if label not in known:
                    known[label] = name_key(label)
                self._identity[i] = known[label]
        between = scale.between
        self._level = None if between is None else between.known.places(labels, between.name)

    def effects(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw the effects of the groups that some of the new rows belong to.

        Parameters
        ----------
        rows : ndarray of int
            Positions among the new rows.

        Returns
        -------
        effects : ndarray, shape (q, groups, S)
        group : ndarray of int, one for each of `rows`
        """
        n_draws, q = self._scale.root.shape[:2]
        if self._level is not None:
            return self._related(), self._level[rows]
        pairs = np.stack([self._identity[rows], self._missing[rows].astype(np.uint64)], axis=1)
        groups, group = np.unique(pairs, axis=0, return_inverse=True)
        bits = np.random.Philox(key=self._key)
        generator = np.random.Generator(bits)
        state = bits.state
        z = np.empty((len(groups), q, n_draws))
        for i, (identity, missing) in enumerate(groups):
            # The counter counts up in its first word: each group has its own range.
            state["state"]["counter"][:] = (0, 0, identity, missing)
            bits.state = state
            generator.standard_normal(out=z[i])
            if self._scale.df is not None:
                z[i] /= np.sqrt(generator.chisquare(self._scale.df) / self._scale.df)
        return self._scaled(z), group.reshape(-1)

    def _scaled(self, z: np.ndarray) -> np.ndarray:
        """Effects of standard normals, shape (groups, q, S), as (q, groups, S)."""
        root = self._scale.root
        out = np.zeros((z.shape[1], len(z), z.shape[2]))
        for j in range(z.shape[1]):
            for k in range(j + 1):
                out[j] += z[:, k] * root[:, j, k]
        return out

    def _related(self) -> np.ndarray:
        """Effects of all levels of a known covariance, drawn anew together."""
        between, (n_draws, q) = self._scale.between, self._scale.root.shape[:2]
        assert between is not None  # noqa: S101
        generator = np.random.Generator(np.random.Philox(key=self._key))
        z = generator.standard_normal((len(between), q * n_draws))
        return self._scaled((between.root @ z).reshape(len(between), q, n_draws))


def group_scales(
    groups: Sequence[GroupingFactor],
    sd: Mapping[str, np.ndarray],
    corr: Mapping[str, np.ndarray],
    structure: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, GroupScale]:
    """Gather the distribution of each grouping factor's effects.

    Parameters
    ----------
    groups : sequence of GroupingFactor
    sd : mapping of str to ndarray, shape (S, q)
    corr : mapping of str to ndarray, shape (S, q, q)
        For those grouping factors that have correlations.
    structure : mapping of str to mapping of str to ndarray, shape (S,)
        The other parameters, by grouping factor.

    Returns
    -------
    dict of str to GroupScale
    """
    return {
        g.name: GroupScale(
            g.name,
            functools.partial(_roots_of, sd[g.name], corr, g.name),
            g.between,
            g.mean_variance,
            structure[g.name]["df"] if g.is_student else None,
        )
        for g in groups
        if g.name in sd
    }


def _roots_of(sd: np.ndarray, corr: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Roots of a factor's Sigma; its correlations are made only here."""
    return covariance_roots(sd, corr.get(name))
