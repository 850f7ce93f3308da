"""Hypotheses about parameters: how probable, how large, how much for equality."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from bayesmix.covariance import covariance_of
from bayesmix.errors import ArgumentError, NotSupportedError
from bayesmix.laws.base import Asked, Smooth, asks_the_law
from bayesmix.laws.summaries import IntervalKind, SummaryOptions, summarise
from bayesmix.laws.values import by_name, estimated_pairs
from bayesmix.results.effect.expressions import Expression, ParsedHypothesis, parse_hypothesis
from bayesmix.results.effect.prior_density import density_at_zero, draws_density
from bayesmix.results.having_law import HasLaw
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.tabular.text import WIDTH, html_block, html_table, text_table, wrapped_title

if TYPE_CHECKING:
    from bayesmix.design import Design, GroupingFactor
    from bayesmix.families import Family
    from bayesmix.statement.stated import FittableModel

__all__ = ["Hypotheses", "WeighsHypotheses"]

Rope = tuple[float, float] | None
_STEP = 1e-5  # of the numerical gradient of an expression
_SHORT = {"probability": "prob.", "evidence_ratio": "ratio"}
_FEW = 10  # draws on the far side of the point
_OF_DRAWS = ("estimate", "sd", "lower", "upper", "direction", "probability", "evidence_ratio")
_BY_WALD = ("estimate", "sd", "lower", "upper", "z", "p_value")
_DRAWN = (
    "estimate: left minus right side, with {:g} % intervals; direction: probability of its sign; "
    "ratio: odds of the hypothesis, for = Savage and Dickey's ratio."
)
_TESTED = (
    "estimate: left minus right side, with {:g} % Wald intervals; p_value of >, < against the "
    "opposite, of = against inequality either way."
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Hypotheses:
    """Hypotheses about parameters, one row each.

    Attributes
    ----------
    table : DataFrame
        hypothesis, estimate, sd, lower, upper (of the left minus the right side), and
        what speaks for it; the last column, note, says what is missing and why.
    title : str
    footer : str
        What the columns are.
    """

    table: pd.DataFrame
    title: str
    footer: str

    def __str__(self) -> str:
        shown, texts = self.table.drop(columns="note"), self.table["hypothesis"].tolist()
        notes = list(self._notes())
        narrow = text_table(shown.assign(hypothesis="h"), ("hypothesis",)).splitlines()[0]
        if max(map(len, texts)) + len(narrow) - len("hypothesis") > WIDTH:
            numbers = [f"H{i}" for i in range(1, len(texts) + 1)]
            notes = [f"{n}: {text}" for n, text in zip(numbers, texts, strict=True)] + notes
            shown = shown.assign(hypothesis=numbers).rename(columns={"hypothesis": ""})
        shown = shown.rename(columns=_SHORT)
        lines = [*wrapped_title(self.title), text_table(shown, (str(shown.columns[0]),))]
        for note in [*notes, self.footer]:
            lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{html.escape(n)}</div>" for n in [*self._notes(), self.footer])
        return html_block([html_table(self.table.drop(columns="note"), self.title), notes])

    def _notes(self) -> list[str]:
        pairs = zip(self.table["hypothesis"], self.table["note"], strict=True)
        return [f"{text!s}: {note!s}." for text, note in pairs if note]


class WeighsHypotheses(HasLaw):
    """What a fit says about hypotheses."""

    @asks_the_law
    def hypothesis(
        self,
        hypotheses: str | Sequence[str],
        *,
        rope: Rope = None,
        ci_prob: float = 0.95,
        ci_kind: IntervalKind | None = None,
    ) -> Hypotheses:
        """Weigh hypotheses about coefficients, standard deviations and correlations.

        A hypothesis has two sides and =, < or > between them. The sides are arithmetic
        (+ - * / ^, abs, exp, log, sqrt, logit, inv_logit) over the names that the
        tables and the priors use: coefficients such as ``sex[T.female]``, ``sd(Subject,
        Days)``, ``corr(Subject, Intercept, Days)``, ``rho(Subject)`` or ``rho_Subject`` of
        a covariance structure, ``sigma`` and the other parameters of the family;
        ``beta(sigma)`` is a coefficient that is called like one of these, and a name in
        backticks is taken as it is. Those of the linear predictor of ``zi`` have ``zi_`` in
        front: ``zi_mined``, ``zi_sd(site)``.

        Parameters
        ----------
        hypotheses : str or sequence of str
            Such as ``"Days > 0"`` or ``"sex[T.female] = ses[T.2]"``.
        rope : tuple of (float, float), optional
            Region of practical equivalence of the left minus the right side.
        ci_prob : float
            Probability inside the interval.
        ci_kind : {"eti", "hdi"}, optional
            For a posterior, equal-tailed (the default) or highest-density interval.

        Returns
        -------
        Hypotheses
            Its `table` has one row per hypothesis: hypothesis; estimate (posterior
            mean), sd, lower, upper of the left minus the right side; direction, the
            probability that this difference has the sign that it most likely has;
            probability of the hypothesis; evidence_ratio; with `rope` the share of the
            draws inside it; note.

            For < and > the evidence ratio is the probability of the hypothesis over
            that of its opposite. For = it is Savage and Dickey's ratio, the posterior
            density of the difference at zero over its prior density: the Bayes factor
            of equality against the model as it is, which depends on how wide the prior
            is; its probability is that under even prior odds. The posterior density is
            by a kernel, or the normal approximation's where hardly a draw lies beyond
            the point. It is NaN where the prior has no density there, and `note` says
            why. All is NaN for a coefficient that was left out as aliased.

            Empirical Bayes tests by Wald: sd is by the delta method, and after upper stand z
            and p_value, against equality for =, against the opposite for < and >; the share
            of `rope` is that under the normal approximation. Where a standard deviation is
            held against zero, the boundary, z and p_value do not hold, and the note says so.

        Raises
        ------
        FormulaError
            If a hypothesis cannot be read, or a name is not known.
        NotSupportedError
            For an argument out of its range.

        References
        ----------
        Dickey, J. M. (1971). The weighted likelihood ratio, linear hypotheses on normal
        location parameters. Annals of Mathematical Statistics 42, 204-223; Wagenmakers,
        E.-J. et al. (2010). Bayesian hypothesis testing for psychologists. Cognitive
        Psychology 60, 158-189; Kruschke, J. K. (2018). Rejecting or accepting parameter
        values in Bayesian estimation. Advances in Methods and Practices in Psychological
        Science 1, 270-280 (ROPE).

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
        >>> eb.hypothesis("Days > 5").table["z"].round(2).tolist()
        [3.54]
        """
        asked = Asked(ci_prob=ci_prob, ci_kind=ci_kind, diagnostics=False)
        options, region = asked.of_draws(), _region(rope)
        law, model = self._law, self.model
        smooth = law.smooth()
        if smooth is None:
            shape = law.values.beta.shape[:-1]
            values: dict[str, Any] = by_name(model, law.stated_values)
            columns: Sequence[str] = _OF_DRAWS
            footer = _DRAWN.format(100 * ci_prob)
        else:
            z = float(special.ndtri((1 + ci_prob) / 2))
            values, columns = smooth.values(smooth.start), _BY_WALD
            footer = _TESTED.format(100 * ci_prob)
        known = _known_names(model.design, model.family, list(values))
        rows = []
        for parsed in _parsed(hypotheses, known):
            if _left_out(model.design, parsed):
                rows.append(_not_estimable(model.design, parsed, columns, region))
            elif smooth is None:
                draws = np.broadcast_to(parsed.difference.value(values), shape)
                prior = model if law.has_stated_prior else None
                rows.append(_of_draws(prior, parsed, draws, options, region))
            else:
                rows.append(_by_wald(parsed, smooth, z, region))
        return _gathered(rows, f"Hypotheses about {model.formula}", footer)


# -- from draws -------------------------------------------------------------------------


def _of_draws(
    model: FittableModel | None,
    parsed: ParsedHypothesis,
    draws: np.ndarray,
    options: SummaryOptions,
    region: Rope,
) -> dict[str, Any]:
    flat = draws.ravel()
    if not np.isfinite(flat).all():
        share = 1 - np.isfinite(flat).mean()
        raise NotSupportedError(
            f"`{parsed.text}` has no finite value at {100 * share:.1f} % of the draws"
        )
    summary = {name: float(v[0]) for name, v in summarise(draws[..., None], options).items()}
    above, below = float((flat > 0).mean()), float((flat < 0).mean())
    row = {"hypothesis": parsed.text, **summary, "direction": max(above, below)}
    note = ""
    if parsed.relation == "=":
        ratio, note = _savage_dickey(model, parsed.difference, flat)
        probability = 1.0 if np.isinf(ratio) else ratio / (1 + ratio)
    else:
        probability = above if parsed.relation == ">" else below
        ratio = np.inf if probability == 1 else probability / (1 - probability)
    row |= {"probability": probability, "evidence_ratio": ratio}
    if region is not None:
        row["rope"] = float(((flat >= region[0]) & (flat <= region[1])).mean())
    return row | {"note": note}


def _savage_dickey(
    model: FittableModel | None, difference: Expression, flat: np.ndarray
) -> tuple[float, str]:
    if model is None:
        return np.nan, "no ratio: the PyMC model was changed by hand, and its prior is not known"
    prior, note = density_at_zero(model, difference)
    if np.isnan(prior):
        return np.nan, f"no ratio: {note}"
    if prior == 0:
        return np.nan, "no ratio: the prior has no density at the point"
    notes = [note] if note else []
    density = draws_density(flat)
    if min((flat > 0).sum(), (flat < 0).sum()) < _FEW:
        from scipy import stats

        density = float(stats.norm(flat.mean(), flat.std(ddof=1)).pdf(0.0))
        notes.append(
            "the posterior density is that of a normal distribution, as fewer than ten draws lie "
            "beyond the point: take the ratio's size and not its digits"
        )
    return density / prior, "; ".join(notes)


# -- by the delta method -----------------------------------------------------------------------


def _by_wald(parsed: ParsedHypothesis, smooth: Smooth, z: float, region: Rope) -> dict[str, Any]:
    start, values = smooth.start, smooth.values
    estimate = float(parsed.difference.value(values(start)))
    if not np.isfinite(estimate):
        raise NotSupportedError(f"`{parsed.text}` has no finite value at the estimates")
    gradient = np.zeros(len(start))
    for i in range(len(start)):
        step = np.zeros(len(start))
        step[i] = _STEP * max(1.0, abs(start[i]))
        up, down = (float(parsed.difference.value(values(start + s))) for s in (step, -step))
        gradient[i] = (up - down) / (2 * step[i])  # NaN beyond the domain, and so is the sd
    used = gradient != 0
    # What plays no part may have no covariance.
    known = smooth.determined.part(used)
    variance = float(known.variance(gradient[None, used])[0])
    sd, note = float(np.sqrt(variance)) if variance > 0 else np.nan, ""
    at_zero = [n for n in parsed.difference.names if n.startswith("sd(") and values(start)[n] == 0]
    if at_zero:
        sd, note = np.nan, f"{at_zero[0]} is at its boundary, zero, where Wald's test says nothing"
    elif known.unknown(gradient[None, used])[0]:
        estimate, sd, note = np.nan, np.nan, "no row of the data says anything of it"
    elif not np.isfinite(sd):
        sd, note = np.nan, "the likelihood is flat or at a boundary there; no standard error"
    elif _on_the_boundary(parsed):
        note = (
            f"{parsed.difference.names[0]} = 0 lies on the boundary of the parameter space, where "
            "z and p_value do not hold; bayesmix.anova compares the fits with and without it"
        )
    ratio = estimate / sd
    p_value = {
        "=": 2 * special.ndtr(-abs(ratio)),
        ">": special.ndtr(-ratio),
        "<": special.ndtr(ratio),
    }[parsed.relation]
    row = {
        "hypothesis": parsed.text,
        "estimate": estimate,
        "sd": sd,
        "lower": estimate - z * sd,
        "upper": estimate + z * sd,
        "z": ratio,
        "p_value": float(p_value),
    }
    if region is not None:
        low, high = ((end - estimate) / sd for end in region)
        row["rope"] = float(special.ndtr(high) - special.ndtr(low))
    return row | {"note": note}


def _on_the_boundary(parsed: ParsedHypothesis) -> bool:
    """Whether the sides are equal where the one standard deviation they name is zero."""
    names = set(parsed.difference.names)
    if len(names) != 1 or not all(n.startswith("sd(") or n == "sigma" for n in names):
        return False
    with np.errstate(all="ignore"):
        return bool(parsed.difference.value(dict.fromkeys(names, 0.0)) == 0)


# -- both -------------------------------------------------------------------------------


def _known_names(design: Design, family: Family, canonical: list[str]) -> dict[str, str]:
    """Return what parameters may be called, with their one name."""
    known: dict[str, str] = {}
    taken = {*family.parameters, *canonical}
    for parameter, predictor in design.predictors.items():
        mark = _mark(parameter)
        for name in (*predictor.fixed_effects, *predictor.aliased):
            label = f"{mark}beta({name})"
            if f"{mark}{name}" not in taken:  # mu's come first
                known.setdefault(f"{mark}{name}", label)
            known[label] = label
        for group in predictor.groups:
            own = {f"{mark}{short}": f"{mark}{name}" for short, name in _of_group(group).items()}
            known |= own
    return known | {name: name for name in canonical}


def _of_group(group: GroupingFactor) -> dict[str, str]:
    """What the standard deviations and correlations of a factor may be called."""
    known: dict[str, str] = {}
    names = covariance_of(group).sd_names(group.name)
    if len(names) == 1:
        known[f"sd({group.name})"] = names[0]
    pairs = [(group.effects[k], group.effects[m]) for k, m in estimated_pairs(group)]
    for one, other in pairs:
        name = f"corr({group.name}, {one}, {other})"
        known[f"corr({group.name}, {other}, {one})"] = name
        if len(pairs) == 1:
            known[f"corr({group.name})"] = name
    for parameter in covariance_of(group).parameters():  # as the posterior's variables are
        known[f"{parameter}_{group.name}"] = f"{parameter}({group.name})"
    return known


def _mark(parameter: str) -> str:
    """What stands in front of the names of a linear predictor's parameters."""
    return "" if parameter == "mu" else f"{parameter}_"


def _left_out(design: Design, parsed: ParsedHypothesis) -> list[str]:
    """Coefficients of a hypothesis that were left out as aliased."""
    return [
        f"{_mark(parameter)}{name}"
        for parameter, predictor in design.predictors.items()
        for name in predictor.aliased
        if f"{_mark(parameter)}beta({name})" in parsed.difference.names
    ]


def _not_estimable(
    design: Design, parsed: ParsedHypothesis, columns: Sequence[str], region: Rope
) -> dict[str, Any]:
    """A row of NaN, and why."""
    named = " and ".join(f"`{name}`" for name in _left_out(design, parsed))
    row: dict[str, Any] = {"hypothesis": parsed.text, **dict.fromkeys(columns, np.nan)}
    if region is not None:
        row["rope"] = np.nan
    note = f"{named} was left out, because the columns before it already determine it in the data"
    return row | {"note": note}


def _parsed(hypotheses: Any, known: Mapping[str, str]) -> list[ParsedHypothesis]:
    if isinstance(hypotheses, Mapping) or not isinstance(hypotheses, Iterable):
        raise ArgumentError(
            f'hypotheses={hypotheses!r} must be text such as "x > 0", or a list of such texts'
        )
    given = [hypotheses] if isinstance(hypotheses, str) else list(hypotheses)
    if not given:
        raise ArgumentError('there is no hypothesis; write one such as "x > 0"')
    return [parse_hypothesis(text, known) for text in given]


def _region(rope: Any) -> Rope:
    if rope is None:
        return None
    try:
        low, high = (float(end) for end in rope)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low < high:
        raise ArgumentError(f"rope={rope!r} must be a lower and an upper end, such as (-0.1, 0.1)")
    return low, high


def _gathered(rows: list[dict[str, Any]], title: str, footer: str) -> Hypotheses:
    table = pd.DataFrame(rows)
    for name in ("hypothesis", "note"):
        table[name] = text_column(table[name].tolist())
    return Hypotheses(table=table, title=title, footer=footer)
