"""`calibrate`: whether a model's posterior covers what its own prior draws."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.arguments import checked_seed, whole_number
from bayesmix.errors import ArgumentError, BayesmixError, BayesmixWarning, NotSupportedError
from bayesmix.laws.values import by_name
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.tabular.text import html_block, html_table, text_table
from bayesmix.results.testing.running import Progress, in_threads, threads_of
from bayesmix.simulation.pictures import draw_ranks
from bayesmix.simulation.scenario import Scenario

if TYPE_CHECKING:
    from bayesmix.model import Model

__all__ = ["CalibrationRanks", "calibrate"]

_BROKEN = (BayesmixError, FloatingPointError, np.linalg.LinAlgError, ValueError)
_LEAST = 0.001  # of a p-value, over all parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRanks:
    """Where parameters that made data lie among the draws of these data's posteriors.

    Attributes
    ----------
    ranks : DataFrame
        One row per data set, one column per parameter: how many of `n_ranks` - 1 draws lie below
        the true value.
    n_ranks : int
    failed : int
        Data sets that could not be made or fitted, which are left out.
    interrupted : bool
    seed : int
    """

    ranks: pd.DataFrame
    n_ranks: int
    failed: int
    interrupted: bool
    seed: int

    @property
    def table(self) -> pd.DataFrame:
        """Parameter, coverage of the 50 and 90 % intervals, and p of a chi-square test of ranks.

        Returns
        -------
        DataFrame
        """
        n, rows = len(self.ranks), []
        bins = max(2, min(20, n // 10))
        edges = np.linspace(0, self.n_ranks, bins + 1)
        expected = np.diff(np.ceil(edges)) * n / self.n_ranks
        for name in self.ranks.columns:
            rank = self.ranks[name].to_numpy()
            at = (rank + 0.5) / self.n_ranks
            counts = np.histogram(rank, np.ceil(edges) - 0.5)[0]
            chisq = float(((counts - expected) ** 2 / expected).sum())
            inside = [float((np.abs(at - 0.5) <= prob / 2).mean()) for prob in (0.5, 0.9)]
            rows.append((name, *inside, float(special.chdtrc(bins - 1, chisq))))
        return pd.DataFrame(rows, columns=["parameter", "within_50", "within_90", "p"])

    @property
    def statement(self) -> str:
        """What the ranks say, in words."""
        table = self.table
        bad = table[table["p"] < _LEAST / max(len(table), 1)]
        head = f"{len(self.ranks)} data sets from the prior"
        if self.failed:
            head += f" ({self.failed} more could not be fitted)"
        if self.interrupted:
            head += ", interrupted"
        if len(bad):
            return (
                f"{head}: the ranks of {', '.join(bad['parameter'])} are not uniform, so that "
                "intervals do not cover as they say: look at plot() and a fit's diagnostics"
            )
        return (
            f"{head}: ranks as uniform as chance leaves them, so that intervals cover as they say"
        )

    def __str__(self) -> str:
        return f"{self.statement}\n\n{text_table(self.table, ('parameter',))}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_block([f"<div>{self.statement}</div>", html_table(self.table, "Calibration")])

    @picture
    def plot(self, **look: Unpack[Look]) -> Any:
        """Draw each parameter's ranks against the uniform distribution.

        Returns
        -------
        matplotlib Figure
            The empirical distribution less the uniform one, with a band in which it stays in
            about 95 of 100 calibrated cases.
        """
        return draw_ranks(self.ranks, self.n_ranks)


def calibrate(
    model: Model,
    n: int = 200,
    *,
    ranks: int = 100,
    draws: int = 250,
    chains: int = 2,
    seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
    **fit: Any,
) -> CalibrationRanks:
    """Check a model by simulation: parameters from its prior, data from these, and fits.

    If prior, likelihood and sampler agree, the true value's rank among independent draws of the
    posterior is uniform, for every parameter. That says nothing of the model's fit to your data;
    `check` does.

    Parameters
    ----------
    model : Model
        With priors that can be drawn from. Its default priors stay those of its own data.
    n : int
        Number of data sets.
    ranks : int
        Number of ranks: one more than the draws of each fit that are compared.
    draws, chains
        As in `Model.fit`.
    seed : int, optional
    cores : int, optional
        Threads; as many as there are processors, up to 8, by default.
    progress : bool
    **fit
        Further arguments of `Model.fit`.

    Returns
    -------
    CalibrationRanks

    Raises
    ------
    PriorError
        If a prior is flat, and cannot be drawn from.
    ArgumentError
        If there are fewer draws than ranks.

    References
    ----------
    Talts, S., Betancourt, M., Simpson, D., Vehtari, A. and Gelman, A. (2018). Validating Bayesian
    inference algorithms with simulation-based calibration. arXiv:1804.06788.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> pulp = bmx.load_dataset("pulp")
    >>> model = bmx.Model("bright ~ 1 + (1 | operator)", pulp)
    >>> found = bmx.calibrate(model, 5, seed=1, progress=False)
    >>> list(found.ranks)
    ['beta(Intercept)', 'sd(operator, Intercept)', 'sigma']
    """
    n, threads = whole_number("n", n, 2, 100_000), threads_of(cores)
    ranks = whole_number("ranks", ranks, 2, 10_000)
    if draws * chains < ranks - 1:
        raise ArgumentError(
            f"draws={draws} x chains={chains} are fewer than the {ranks - 1} of ranks={ranks}"
        )
    number = int(np.random.default_rng().integers(2**31)) if seed is None else checked_seed(seed, 0)
    prior = model.fit(draws=n, chains=1, seed=number, prior_only=True, progress=False)
    scenario = Scenario.of_fit(prior)
    truth = {name: v[0] for name, v in by_name(model, prior._law.values).items()}
    names = list(truth)

    def some(own: range, stop: threading.Event) -> list[np.ndarray | None]:
        out: list[np.ndarray | None] = []
        for k in own:
            if stop.is_set():
                break
            try:
                y = scenario.response((number, k), k)
                if not np.isfinite(y).all():
                    raise NotSupportedError("a response is not finite")
                post = model.with_parts(y=y).fit(
                    **{"draws": draws, "chains": chains, "cores": 1, "seed": k + 1,
                       "progress": False, **fit}
                )  # fmt: skip
                found = by_name(model, post._law.values)
                out.append(
                    np.asarray([_rank(found[name], truth[name][k], ranks) for name in names])
                )
            except _BROKEN:
                out.append(None)
        return out

    counted = Progress("data set", n, shown=progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        found, interrupted = in_threads(some, n, threads, counted.say)
    counted.close()
    good = [row for row in found if row is not None]
    if not good:
        raise NotSupportedError("no data set could be fitted, or the run was interrupted before")
    return CalibrationRanks(
        ranks=pd.DataFrame(np.stack(good), columns=names), n_ranks=ranks,
        failed=len(found) - len(good), interrupted=interrupted, seed=number,
    )  # fmt: skip


def _rank(draws: np.ndarray, truth: float, ranks: int) -> int:
    """How many of evenly spaced draws lie below the truth."""
    flat = draws.reshape(-1)
    at = np.linspace(0, len(flat) - 1, ranks - 1).round().astype(int)
    return int((flat[at] < truth).sum())
