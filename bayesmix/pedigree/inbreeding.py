"""Inbreeding, and the variance that is not the parents', without a relationship matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["inbreeding"]

_COMPILED_FROM = 1_000_000  # steps: below, compiling takes longer than plain loops


def inbreeding(sire: np.ndarray, dam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inbreeding coefficients and variances of Mendelian sampling.

    An animal's coefficient is half the relationship of its parents. A column of the
    relationship matrix T D T' takes two passes through the pedigree, up with T' and down
    with T, and holds a sire's relationships with all his mates. Time is proportional to
    the number of animals times the number of sires (or of dams, if they are fewer),
    whatever the number of generations.

    Parameters
    ----------
    sire, dam : ndarray of int, shape (n,)
        Numbers of the parents, which are smaller than the animal's; -1 if unknown.

    Returns
    -------
    coefficients : ndarray, shape (n,)
        F, the diagonal of A less 1.
    variances : ndarray, shape (n,)
        D, the variance of an animal given its parents, in units of the additive variance.

    References
    ----------
    Colleau (2002), Genetics Selection Evolution 34, 409-421; Sargolzaei, Iwaisaki and
    Colleau (2005), Journal of Animal Breeding and Genetics 122, 325-331.
    """
    sire, dam = sire.astype(np.int64), dam.astype(np.int64)
    n = len(sire)
    offspring = np.flatnonzero((sire >= 0) & (dam >= 0))
    by_sire, by_dam = np.unique(sire[offspring]), np.unique(dam[offspring])
    few, mates = (by_sire, dam) if len(by_sire) <= len(by_dam) else (by_dam, sire)
    one = sire if mates is dam else dam
    offspring = offspring[np.argsort(one[offspring], kind="stable")]
    starts = np.searchsorted(one[offspring], np.append(few, n))
    passes: Any = _passes
    if n * len(few) >= _COMPILED_FROM:
        from numba import njit

        passes = njit(nogil=True)(_passes)
    F = np.zeros(n)
    passes(sire, dam, few, starts, offspring, mates[offspring], F)
    inbred = np.append(F, -1.0)  # an unknown parent takes nothing from the variance
    return F, 1.0 - 0.25 * ((1.0 + inbred[sire]) + (1.0 + inbred[dam]))


def _passes(
    sire: np.ndarray, dam: np.ndarray, few: np.ndarray, starts: np.ndarray,
    offspring: np.ndarray, mates: np.ndarray, F: np.ndarray,
) -> None:  # fmt: skip
    """Fill F, the offspring of one parent after the other; parents in ascending order.

    An animal's F is known when its own first offspring is reached: its parents have
    smaller numbers than it has.
    """
    n = len(sire)
    share = np.zeros(n + 1)  # of an ancestor's genes in the parent; last, those of nobody
    related = np.zeros(n + 1)
    for k in range(len(few)):
        parent = few[k]
        share[parent] = 1.0
        oldest = parent
        for j in range(parent, -1, -1):
            if share[j] > 0.0:
                oldest = j
                share[sire[j]] += 0.5 * share[j]
                share[dam[j]] += 0.5 * share[j]
        last = parent
        for c in range(starts[k], starts[k + 1]):
            last = max(last, mates[c])
        share[n] = 0.0
        for j in range(oldest, last + 1):
            s, d = sire[j], dam[j]
            related[j] = 0.5 * (related[s] + related[d])
            if share[j] > 0.0:
                variance = 1.0
                if s >= 0:
                    variance -= 0.25 * (1.0 + F[s])
                if d >= 0:
                    variance -= 0.25 * (1.0 + F[d])
                related[j] += variance * share[j]
                share[j] = 0.0
        for c in range(starts[k], starts[k + 1]):
            F[offspring[c]] = 0.5 * related[mates[c]]
        related[oldest : last + 1] = 0.0
