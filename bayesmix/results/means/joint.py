"""Joint tests of means: that a factor makes no difference, or that all are zero."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.laws.jointly import DrawnJointly, Jointly, NormalJointly
from bayesmix.laws.small_samples import tested
from bayesmix.results.means.judged import Judging
from bayesmix.results.means.quantities import Quantities
from bayesmix.results.tabular.tables import text_column

__all__ = ["joint_tests"]

_RANK = 1e-10  # of the largest eigenvalue


def joint_tests(own: Quantities, *, equal: bool) -> pd.DataFrame:
    """Test hypotheses about all means of each family together.

    Parameters
    ----------
    own : Quantities
    equal : bool
        Whether means are held against each other, factor by factor, or against zero.

    Returns
    -------
    DataFrame
        term, the columns of `by`, and what is found; NaN where the data tell none of it.
    """
    terms, keys, rows = [], [], []
    for at in own.families(own.by):
        for term, C in _hypotheses(own, at, equal=equal):
            full = np.zeros((len(C), len(own.keys)))
            full[:, at] = C
            known = _estimable_rows(own, full)
            if _says_nothing(own.jointly, known):  # an interaction that the model does not have
                continue
            terms.append(term)
            keys.append(own.keys.iloc[at[:1]][list(own.by)])
            rows.append(_tested(own.jointly.combined(known), own.judging))
    table = pd.concat(keys, ignore_index=True)
    table.insert(0, "term", text_column(terms))
    return pd.concat([table, pd.DataFrame(rows)], axis=1)


def _hypotheses(
    own: Quantities, at: np.ndarray, *, equal: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Names and rows of what is to be zero."""
    keys = own.keys.iloc[at][list(own.factors)]
    if not equal:
        yield " and ".join(own.factors) or own.what, np.eye(len(at))
        return
    levels = [list(dict.fromkeys(keys[name])) for name in own.factors]
    order = {key: i for i, key in enumerate(keys.itertuples(index=False, name=None))}
    crossed = [order.get(key, -1) for key in itertools.product(*levels)]
    if min(crossed) < 0:  # some combinations are not there: they are compared as they are
        yield ":".join(own.factors), _differences(len(at))
        return
    for size in range(1, len(levels) + 1):
        for term in itertools.combinations(range(len(levels)), size):
            C = np.ones((1, 1))
            for k, values in enumerate(levels):
                n = len(values)
                C = np.kron(C, _differences(n) if k in term else np.full((1, n), 1 / n))
            if len(C):
                out = np.zeros_like(C)
                out[:, crossed] = C
                yield ":".join(own.factors[k] for k in term), out


def _differences(n: int) -> np.ndarray:
    return np.eye(n)[1:] - np.eye(n)[:-1]


def _says_nothing(jointly: Jointly, C: np.ndarray) -> bool:
    if not len(C) or jointly.unknown.any():
        return False
    size = np.abs(np.diag(jointly.spread)).max(initial=0.0)
    return bool(np.abs(np.diag(jointly.combined(C).spread)).max(initial=0.0) <= 1e-13 * size)


def _estimable_rows(own: Quantities, C: np.ndarray) -> np.ndarray:
    """Combinations of the rows of C that the data determine."""
    known = own.estimable.combined(C)
    if not known.unknown.any():
        return C
    if known.empty.any() or not own.estimable.linear:
        return C[~known.unknown]
    # Those in which departures from what left-out columns are in the data cancel.
    departure = np.where(known.found, known.value, 0.0)
    left, values, _ = np.linalg.svd(departure)
    rank = int((values > 1e-8 * values.max(initial=0.0)).sum())
    return np.asarray(left[:, rank:].T @ C)


def _tested(jointly: Jointly, judging: Judging) -> dict[str, float]:
    if isinstance(jointly, DrawnJointly):
        return _contour(jointly)
    assert isinstance(jointly, NormalJointly)  # noqa: S101
    nothing = not len(jointly.estimate) or bool(jointly.unknown.any())
    if judging.tests and judging.method is not None:
        names = ("num_df", "den_df", "f", "p")
        if nothing or not np.abs(jointly.X).max(initial=0.0) > 0:
            return dict(zip(names, (0.0, np.nan, np.nan, np.nan), strict=True))
        if jointly.of_fixed.all():
            zero = np.zeros(jointly.X.shape[1])
            found = tested(judging.method, zero, jointly.X, -jointly.estimate)
            return {"num_df": found.num_df, "den_df": found.den_df, "f": found.f, "p": found.p}
        chisq, df = _wald(jointly)
        values = (df, np.inf, chisq / df, float(special.chdtrc(df, chisq)))
        return dict(zip(names, values, strict=True))
    chisq, df = (np.nan, 0) if nothing else _wald(jointly)
    name = "p" if judging.tests else "contour"
    return {"chisq": chisq, "df": df, name: float(special.chdtrc(df, chisq)) if df else np.nan}


def _wald(jointly: Jointly) -> tuple[float, int]:
    """Squared distance of the estimates from zero, and the rank of their covariance."""
    root = _inverse_root(jointly.spread)
    return float(((root @ jointly.estimate) ** 2).sum()), len(root)


def _contour(jointly: DrawnJointly) -> dict[str, float]:
    """Posterior probability of what is farther from the mean than zero is."""
    if not len(jointly.draws) or jointly.unknown.any():
        return {"chisq": np.nan, "df": 0, "contour": np.nan}
    root, center = _inverse_root(jointly.spread), jointly.draws.mean(axis=1)
    distance = ((root @ (jointly.draws - center[:, None])) ** 2).sum(axis=0)
    of_zero = float(((root @ center) ** 2).sum())
    return {"chisq": of_zero, "df": len(root), "contour": float((distance >= of_zero).mean())}


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    """R with R' R the inverse of a covariance, where it has one; shape (rank, n)."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _RANK * values.max(initial=0.0)
    return np.asarray((vectors[:, kept] / np.sqrt(values[kept])).T)
