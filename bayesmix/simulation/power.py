"""`power`: how often a design finds an effect that is there."""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import pandas as pd

from bayesmix.answering import answering
from bayesmix.arguments import check_probability, checked_seed, one_of, whole_number
from bayesmix.errors import OWN_FILES, ArgumentError, BayesmixError, BayesmixWarning
from bayesmix.model import Model
from bayesmix.results import EmpiricalBayes, Posterior
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.tabular.text import html_block, html_table, text_table
from bayesmix.results.testing.running import Progress, in_threads, threads_of
from bayesmix.simulation.levels import with_levels
from bayesmix.simulation.outcomes import Kept
from bayesmix.simulation.pictures import draw_power
from bayesmix.simulation.question import Answer, Criterion, Question
from bayesmix.simulation.scenario import Scenario

if TYPE_CHECKING:
    from bayesmix.laws.base import DegreesOfFreedom

__all__ = ["Power", "power"]

Fitted = Literal["eb", "posterior"]
_MOST_SIZES = 1000
_PIECE = 50  # data sets, after each of which what is found is written to the file
_BROKEN = (BayesmixError, FloatingPointError, np.linalg.LinAlgError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """How often each design finds the effect.

    Attributes
    ----------
    table : DataFrame
        One row per design: a column for each of `levels`; n (data sets), power, lower, upper
        (Clopper and Pearson's 95 % interval for what the simulation leaves open), failed (fits
        that were not possible, which are left out). Where one coefficient is tested also
        exaggeration, the mean of |estimate| / |true value| among the successes, and wrong_sign,
        the share of these whose estimate has the other sign (Gelman and Carlin 2014).
    question : str
        What counts as a success.
    seed : int
    interrupted : bool
        Whether the run was stopped before it was done: call `power` again with the same `seed`
        and `file` to go on.
    """

    table: pd.DataFrame
    question: str
    seed: int
    interrupted: bool
    factors: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        shown = self.table.copy()
        head = f"Power: {self.question}"
        foot = "  lower and upper are for what so many data sets leave open"
        if self.interrupted:
            foot += "; the run was interrupted"
        return f"{head}\n\n{text_table(shown, self.factors)}\n{foot}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_block([html_table(self.table, f"Power: {self.question}")])

    @picture
    def plot(self, **look: Unpack[Look]) -> Any:
        """Draw the power curve with its Monte Carlo intervals.

        Returns
        -------
        matplotlib Figure

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
        >>> found = bmx.power(eb, "Days", n=5, levels={"Subject": [3, 6]}, seed=1, progress=False)
        >>> len(found.plot().axes)
        1
        """
        return draw_power(self.table, self.factors, self.question)


@answering
def power(
    model: Scenario | EmpiricalBayes | Posterior,
    test: str | Sequence[str] | Callable[[Any], Any],
    *,
    n: int = 1000,
    levels: Mapping[str, int | Sequence[int]] | None = None,
    criterion: Criterion | None = None,
    alpha: float = 0.05,
    ddf: DegreesOfFreedom | None = None,
    fit: Fitted = "eb",
    fit_options: Mapping[str, Any] | None = None,
    formula: str | None = None,
    seed: int | None = None,
    cores: int | None = None,
    file: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Power:
    """Simulate data, fit them, and count how often an effect is found.

    Parameters
    ----------
    model : Scenario, EmpiricalBayes or Posterior
        What makes the data: numbers, the estimates of a fit, or the draws of a posterior one
        after the other, so that the power is averaged over what is not known.
    test : str, sequence of str, or callable
        A coefficient (``"Days"``), a term of several coefficients (its F test of type 3),
        equations that are tested together (``["a = b", "b = c"]``), or an inequality
        (``"Days > 0"``). A function is given the fit and returns whether it is a success, or a
        p-value.
    n : int
        Number of data sets for each design.
    levels : mapping of str to int or sequence of int, optional
        Numbers of levels of factors, each combination a design: levels beyond those in the data
        have the rows of the first ones again. The data's own by default.
    criterion : {"p", "interval", "probability"}, optional
        Success is a p-value below `alpha`, an interval of probability 1 - `alpha` without zero, or
        a posterior probability of the inequality above 1 - `alpha`. By default "p" for empirical
        Bayes; for posteriors "probability" of an inequality, else "interval".
    alpha : float
    ddf : {"satterthwaite", "kenward-roger"}, optional
        For p-values of a normal response; the first by default.
    fit : {"eb", "posterior"}
        How the data are fitted: `Model.fit_eb` or `Model.fit`.
    fit_options : mapping, optional
        Arguments of these, such as ``{"draws": 500, "chains": 2}``.
    formula : str, optional
        The model that is fitted, where it is another than the one that makes the data.
    seed : int, optional
        A new one by default; it is kept in the result.
    cores : int, optional
        Threads; as many as there are processors, up to 8, by default.
    file : str or path, optional
        Where what is found is written after every 50 data sets of a design. The same call goes
        on from there after an interruption. Where it can no longer be written, the run goes on,
        and a warning says so.
    progress : bool

    Returns
    -------
    Power

    Raises
    ------
    ArgumentError
        If the test names nothing, the criterion does not suit it, a factor is not there, or the
        file is of another call, or damaged.
    FileError
        If `file` is no place for a file, or what is there is none.

    References
    ----------
    Green, P. and MacLeod, C. J. (2016). SIMR: an R package for power analysis of generalized
    linear mixed models by simulation. Methods in Ecology and Evolution 7, 493-498; Gelman, A. and
    Carlin, J. (2014). Beyond power calculations: assessing type S (sign) and type M (magnitude)
    errors. Perspectives on Psychological Science 9, 641-651.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> sleep = bmx.load_dataset("sleepstudy")
    >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    >>> found = bmx.power(eb, "Days", n=10, levels={"Subject": [4, 18]}, seed=1, progress=False)
    >>> found.table["Subject"].tolist()
    [4, 18]
    """
    n, threads = whole_number("n", n, 1, 1_000_000), threads_of(cores)
    check_probability("alpha", alpha)
    one_of("fit", fit, ("eb", "posterior"))
    scenario = _scenario_of(model)
    number = int(np.random.default_rng().integers(2**31)) if seed is None else checked_seed(seed, 0)
    sizes = _sizes(levels)
    options = dict(fit_options or {})
    if fit == "posterior":
        options = {"progress": False, **options}
    stated = scenario.model if formula is None else Model(
        formula, scenario.frame_with(scenario.response((number, 0))), family=scenario.family
    )  # fmt: skip
    question = Question.of(test, criterion, alpha, ddf, stated, draws=fit == "posterior")
    truth = scenario.parameters.get(question.test) if isinstance(question.test, str) else None
    call = {
        "formula": str(scenario.model.formula), "parameters": scenario.parameters,
        "question": question.in_words, "ddf": str(ddf), "fit": fit, "fitted": formula or "",
        "options": {name: str(value) for name, value in sorted(options.items())},
        "rows": len(scenario.data), "seed": number,
    }  # fmt: skip
    kept = Kept(file, call)
    counted = Progress("data set", n * len(sizes), shown=progress)
    rows, done, interrupted = [], 0, False
    with warnings.catch_warnings():
        # What is wrong with single fits is counted.
        warnings.simplefilter("ignore", BayesmixWarning)
        for size in sizes:
            outcomes = kept.of(size)
            if not interrupted and len(outcomes) < n:
                frame = with_levels(scenario.data, scenario.model, size)
                design = _Design(
                    scenario.over(frame), size, fit, options, formula, question, number
                )
                while len(outcomes) < n and not interrupted:
                    first, before = len(outcomes), done + len(outcomes)
                    found, interrupted = in_threads(
                        design.some(first), min(_PIECE, n - first), threads,
                        lambda k, before=before: counted.say(before + k),  # type: ignore[misc]
                    )  # fmt: skip
                    kept.add(size, found)
                    outcomes = kept.of(size)
            done += n
            rows.append({**size, **kept.of(size, n).summary(truth)})
    counted.close()
    if kept.unwritten:
        warnings.warn(
            f"{kept.unwritten}: what was found since is in the result alone",
            BayesmixWarning,
            skip_file_prefixes=OWN_FILES,
        )
    table = pd.DataFrame(rows)
    if truth is None or not question.coefficient >= 0:
        table = table.drop(columns=["exaggeration", "wrong_sign"])
    return Power(
        table=table, question=question.in_words, seed=number, interrupted=interrupted,
        factors=tuple(next(iter(sizes))),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Design:
    """One design, whose data sets are made and fitted."""

    scenario: Scenario
    size: Mapping[str, int]
    fit: Fitted
    options: Mapping[str, Any]
    formula: str | None
    question: Question
    seed: int

    def some(self, first: int) -> Callable[[range, threading.Event], list[Answer | None]]:
        """Make and fit the data sets behind the first so many."""

        def some(own: range, stop: threading.Event) -> list[Answer | None]:
            out: list[Answer | None] = []
            for k in own:
                if stop.is_set():
                    break
                try:
                    out.append(self.question(self._fitted(first + k)))
                except _BROKEN:
                    out.append(None)
            return out

        return some

    def _fitted(self, k: int) -> Any:
        words = [int(v) for v in self.size.values()]
        y = self.scenario.response((self.seed, *words, k), k)
        if self.fit == "eb" and self.formula is None:
            return self.scenario.model.with_parts(y=y).fit_eb(**self.options)
        frame = self.scenario.frame_with(y)
        formula = self.formula or self.scenario.model.specification.formula
        model = (
            self.scenario.model.update(". ~ .", data=frame) if self.formula is None
            else Model(formula, frame, family=self.scenario.family)
        )  # fmt: skip
        if self.fit == "eb":
            return model.fit_eb(**self.options)
        return model.fit(**{"seed": k + 1, "cores": 1, **self.options})


def _scenario_of(model: Any) -> Scenario:
    if isinstance(model, Scenario):
        return model
    if isinstance(model, EmpiricalBayes | Posterior):
        return Scenario.of_fit(model)
    raise ArgumentError(
        f"power() takes a Scenario or a fit, not {type(model).__name__}: "
        "bayesmix.Scenario(formula, data, parameters) states a model by numbers"
    )


def _sizes(levels: Mapping[str, int | Sequence[int]] | None) -> list[dict[str, int]]:
    given = {
        name: [wanted]
        if isinstance(wanted, int | np.integer)
        else list(itertools.islice(wanted, _MOST_SIZES + 1))
        for name, wanted in (levels or {}).items()
    }
    for name, wanted in given.items():
        if not wanted:
            raise ArgumentError(f"levels[{name!r}] is empty")
        if len(wanted) > _MOST_SIZES:
            raise ArgumentError(
                f"levels[{name!r}] has more than {_MOST_SIZES} sizes, each of which is simulated "
                "and fitted n times; give fewer"
            )
        for k in wanted:
            whole_number(f"levels[{name!r}]", k, 1)
    return [
        dict(zip(given, map(int, combination), strict=True))
        for combination in itertools.product(*given.values())
    ]
