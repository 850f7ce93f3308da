"""Effective sample sizes and r_hat of many quantities at once, as ArviZ defines them.

The definitions are those of Vehtari et al. (2021): chains are split in two, draws become
normal scores of their ranks, and autocorrelations are added up as far as Geyer's initial
monotone sequence goes. Where that is short, as of good samplers, so few lags are needed that
their sums cost less than a Fourier transform; one quantity after another takes ten times as
long.

References
----------
Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Buerkner, P.-C. (2021).
Rank-normalization, folding, and localization: an improved R-hat for assessing convergence of
MCMC. Bayesian Analysis 16, 667-718.
Geyer, C. J. (1992). Practical Markov chain Monte Carlo. Statistical Science 7, 473-483.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import ndtri

__all__ = ["bulk_and_r_hat", "quantile_ess"]

_TOGETHER = 250_000  # draws of several quantities that are worked on at a time
_FEW_PAIRS = 4  # pairs of lags that are summed before a Fourier transform takes all of them
_FLAT = 1e-15  # a range below which a series does not vary


def bulk_and_r_hat(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bulk effective sample size and rank-normalised split r_hat.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, k)
        Four draws of each chain or more.

    Returns
    -------
    bulk, r_hat : ndarray, shape (k,)
        NaN where draws are not numbers; r_hat is NaN of a single chain.
    """
    bulk, r_hat = np.full((2, draws.shape[2]), np.nan)
    for at, values in _parts(draws):
        halves = _split(values)
        scores = _normal_scores(halves)
        bulk[at] = _effective_sizes(scores)
        if len(draws) > 1:
            folded = np.abs(halves - np.median(halves, axis=(1, 2), keepdims=True))
            r_hat[at] = np.fmax(_ratio(scores), _ratio(_normal_scores(folded)))
    return bulk, r_hat


def quantile_ess(draws: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """Effective sample sizes of quantiles: of whether a draw lies below.

    Parameters
    ----------
    draws : ndarray, shape (chains, draws, k)
        Four draws of each chain or more.
    probabilities : sequence of float

    Returns
    -------
    ndarray, shape (len(probabilities), k)
        NaN where draws are not numbers.
    """
    out = np.full((len(probabilities), draws.shape[2]), np.nan)
    for at, values in _parts(draws):
        with np.errstate(invalid="ignore"):  # between a number and infinity
            quantiles = np.quantile(values, probabilities, axis=(1, 2))
        halves = _split(values)
        for i, limit in enumerate(quantiles):
            below = halves <= limit[:, None, None]
            out[i, at] = _effective_sizes(below.astype(float))
    return out


def _parts(draws: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions and draws, shape (m, chains, draws), of quantities without NaN, some at a time."""
    n_chains, n_draws, k = draws.shape
    size = max(1, _TOGETHER // (n_chains * n_draws))
    for first in range(0, k, size):
        values = np.moveaxis(draws[:, :, first : first + size], 2, 0).astype(float, order="C")
        known = ~np.isnan(values).any(axis=(1, 2))
        if known.any():
            yield first + np.flatnonzero(known), values if known.all() else values[known]


def _split(values: np.ndarray) -> np.ndarray:
    """First and last halves of the chains, shape (m, 2 chains, draws // 2)."""
    half = values.shape[2] // 2
    return np.concatenate([values[:, :, :half], values[:, :, -half:]], axis=1)


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Normal scores of each quantity's ranks; equal draws share the mean of theirs."""
    m, size = len(values), values[0].size
    flat = values.reshape(m, size)
    order = np.argsort(flat, axis=1)
    order += size * np.arange(m)[:, None]
    ordered = flat.ravel()[order]
    new = np.ones((m, size), dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=new[:, 1:])
    first = np.flatnonzero(new)
    after = np.append(first[1:], m * size)
    # Twice a mean rank is a whole number, and each has one score.
    by_rank = ndtri((np.arange(2, 2 * size + 1) / 2 - 3 / 8) / (size + 1 / 4))
    own = by_rank[first + after - 1 - 2 * size * (first // size)]
    scores = np.empty(m * size)
    scores[order.ravel()] = np.repeat(own, after - first)
    return scores.reshape(values.shape)


def _ratio(series: np.ndarray) -> np.ndarray:
    """Split r_hat of each quantity's chains."""
    n = series.shape[2]
    between = n * series.mean(axis=2).var(axis=1, ddof=1)
    within = series.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.sqrt((between / within + n - 1) / n)
    return found


def _effective_sizes(series: np.ndarray) -> np.ndarray:
    """Effective sample size of the mean of each of m quantities, shape (m, chains, n)."""
    m, n_chains, n = series.shape
    means = series.mean(axis=2, keepdims=True)
    centred = series - means
    varies = np.ptp(series, axis=(1, 2)) >= _FLAT
    variance = np.einsum("mcn,mcn->m", centred, centred) / (n_chains * n)
    total = variance + means[:, :, 0].var(axis=1, ddof=1)
    total[~varies] = 1.0
    loss = variance * n / (n - 1)
    n_pairs = 1 + max((n - 3) // 2, 0)
    few = min(_FEW_PAIRS, n_pairs)
    rho = np.ones((m, 2 * few))
    for lag in range(1, 2 * few):
        product = np.einsum("mcn,mcn->m", centred[:, :, lag:], centred[:, :, : n - lag])
        rho[:, lag] = 1 - (loss - product / (n_chains * n)) / total
    times, ended = _times(rho, few == n_pairs)
    more = np.flatnonzero(~ended & varies)
    if more.size:
        covariances = _autocovariances(centred[more], 2 * n_pairs)
        rho = 1 - (loss[more, None] - covariances) / total[more, None]
        rho[:, 0] = 1.0
        times[more], _ = _times(rho, True)
    size = n_chains * n
    return np.where(varies, size / np.fmax(times, 1 / np.log10(size)), size)


def _times(rho: np.ndarray, all_lags: bool) -> tuple[np.ndarray, np.ndarray]:
    """Integrated autocorrelation times, and whether the lags given are enough for each.

    Sums of pairs are positive and fall (Geyer 1992): what comes after the first that is not
    is noise, and one above its predecessor takes the predecessor's place.
    """
    pairs = rho[:, 0::2] + rho[:, 1::2]
    ends = pairs <= 0
    ended = ends.any(axis=1)
    last = np.where(ended, np.argmax(ends, axis=1), pairs.shape[1] - 1)
    falling = np.minimum.accumulate(pairs, axis=1)
    falling[np.arange(pairs.shape[1]) >= last[:, None]] = 0.0
    rows = np.arange(len(rho))
    even = rho[rows, 2 * last]
    even = np.where(pairs[rows, last] >= 0, even, np.fmax(even, 0.0))
    return -1 + 2 * falling.sum(axis=1) + even, ended | all_lags


def _autocovariances(centred: np.ndarray, n_lags: int) -> np.ndarray:
    """Mean over chains of the autocovariances at lags below `n_lags`, shape (m, n_lags)."""
    n = centred.shape[2]
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(centred, n=size, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    return np.fft.irfft(power, n=size, axis=1)[:, :n_lags] / n
