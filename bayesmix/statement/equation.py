"""A model as LaTeX."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bayesmix.covariance import Part, covariance_of
from bayesmix.design import Design, GroupingFactor, LinearPredictor
from bayesmix.families import Family
from bayesmix.priors.model_priors import AT_MEANS, ModelPriors, PredictorPriors, PriorInForce
from bayesmix.priors.prior import Prior
from bayesmix.residual import Residual
from bayesmix.shorten import one_line

__all__ = ["Equation", "model_equation"]

_PER_LINE = 4  # terms of the linear predictor


class Equation(str):
    """LaTeX text that a notebook shows as mathematics."""

    __slots__ = ()

    def _repr_latex_(self) -> str:
        return f"$${self}$$"


def model_equation(
    design: Design, family: Family, priors: ModelPriors, residual: Residual | None = None
) -> Equation:
    """Write the likelihood, the linear predictor, the group effects and the priors.

    Parameters
    ----------
    design : Design
    family : Family
    priors : ModelPriors
    residual : Residual, optional

    Returns
    -------
    Equation
        An ``aligned`` environment, without dollar signs.
    """
    likelihood = family.latex()
    for name in design.predictors:
        if name != "mu":  # one for each row
            symbol = re.escape(_symbol(name))
            likelihood = re.sub(rf"{symbol}(?![A-Za-z])", lambda found: f"{found[0]}_i", likelihood)
    if residual is not None:
        likelihood = residual.latex(likelihood)
    if "exponent" in design.extras:
        likelihood = rf"\left[{likelihood}\right]^{{w_i}}"
    for name, where in (
        ("lower", r"y_i \ge l_i"),
        ("upper", r"y_i \le u_i"),
        ("status", r"\text{censored by } s_i"),
    ):
        if name in design.extras:
            likelihood += rf", \quad {where}"
    lines = [rf"{_text(design.formula.response.text)}_i &\sim {likelihood}"]
    parts: list[_Part] = []
    known: dict[tuple[str, str], str] = {}
    n_letters = 0
    for name, predictor in design.predictors.items():
        letters = [_letter(n_letters + k) for k in range(len(predictor.groups))]
        n_letters += len(letters)
        lent = {(name, g.name): x for g, x in zip(predictor.groups, letters, strict=True)}
        known |= lent
        borrowed = [(g, known[g.owner, g.name]) for g in predictor.borrowed]
        parts.append(_Part(predictor=predictor, letters=letters, borrowed=borrowed))
        if name != "mu":
            inverse = family.parameter_link(name).latex.replace(r"\eta_i", parts[-1].eta)
            lines.append(rf"{_symbol(name)}_i &= {inverse}")
        lines += _predictor_lines(parts[-1])
    for part in parts:
        for group, letter in zip(part.predictor.groups, part.letters, strict=True):
            lines += _group_lines(group, letter, part.mark)
    for part in parts:
        lines += _prior_lines(part, priors.predictors[part.predictor.parameter])
    lines += [_family_line(name, entry) for name, entry in priors.family.items()]
    body = " \\\\\n".join(lines)
    return Equation(f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One linear predictor, and the letters of its group effects."""

    predictor: LinearPredictor
    letters: Sequence[str]
    borrowed: Sequence[tuple[GroupingFactor, str]] = ()

    @property
    def mark(self) -> str:
        """What its symbols carry, where they are not mu's."""
        name = self.predictor.parameter
        return "" if name == "mu" else rf"^{{({_symbol(name)})}}"

    @property
    def eta(self) -> str:
        return rf"\eta{self.mark}_i"

    @property
    def symbols(self) -> list[str]:
        """Coefficients."""
        first = 0 if self.predictor.has_intercept else 1
        numbers = range(first, first + len(self.predictor.fixed_effects))
        return [rf"\beta{self.mark}_{{{number}}}" for number in numbers]


def _predictor_lines(part: _Part) -> list[str]:
    predictor = part.predictor
    terms = []
    for symbol, name in zip(part.symbols, predictor.fixed_effects, strict=True):
        terms.append(symbol if name == "Intercept" else rf"{symbol}\,{_text(name)}_i")
    if predictor.offset is not None:
        terms += [rf"{_text(piece.text)}_i" for piece in predictor.formula.offsets]
    for letter, group in zip(part.letters, predictor.groups, strict=True):
        if group.smooth is not None:
            b = f"{letter}_{{{_of_level(group)}k}}"
            terms.append(rf"\textstyle\sum_k {b}\,{_text(group.name)}_{{ik}}")
            continue
        if group.is_membership:
            w = rf"w{part.mark}_{{{_text(group.name)},ik}}"
            terms.append(rf"\textstyle\sum_k {w}\,{letter}_k")
            continue
        terms += _effect_terms(group, letter)
    for group, letter in part.borrowed:
        terms += _effect_terms(group, letter)
    if not terms:
        return [rf"{part.eta} &= 0"]
    rows = [terms[i : i + _PER_LINE] for i in range(0, len(terms), _PER_LINE)]
    lines = [rf"{part.eta} &= {' + '.join(rows[0])}"]
    return lines + [rf"&\quad + {' + '.join(row)}" for row in rows[1:]]


def _effect_terms(group: GroupingFactor, letter: str) -> list[str]:
    """A level's effects times their columns; those of another predictor's columns are not here."""
    terms = []
    for block in group.blocks:
        if block.positions is not None:  # an effect for each: that of the row's own
            b = rf"{letter}_{{{_index(group)}[i],k}}"
            where = _text(group.effects[block.start].partition(")[")[0] + ")")
            terms.append(rf"\textstyle\sum_k {b}\,[{where}_i = t_k]")
            continue
        for k, effect in enumerate(group.effects[block.start : block.stop], block.start):
            if group.joined and not group.Z[:, k].any():
                continue
            b = rf"{letter}_{{{_index(group)}[i],{k}}}"
            own = effect.rsplit(": ", 1)[-1] if group.joined else effect
            terms.append(b if own == "Intercept" else rf"{b}\,{_text(own)}_i")
    return terms


def _of_level(group: GroupingFactor) -> str:
    """Index of the level of a row, where a smooth has curves of levels."""
    assert group.smooth is not None  # noqa: S101
    return rf"\text{{{_escape(group.smooth.term.group)}}}[i]," if group.smooth.at_levels else ""


def _smooth_lines(group: GroupingFactor, letter: str, mark: str) -> list[str]:
    """Effects of a smooth: those of each block share one standard deviation."""
    name, covariance = _text(group.name), covariance_of(group)
    level = "" if group.is_smooth else "j"
    return [
        rf"{letter}_{{{level}k}} &\sim \operatorname{{Normal}}(0, \sigma{mark}_{{{name},{n}}}), "
        rf"\quad k = {part.start + 1}, \dots, {part.stop}"
        for n, part in enumerate(covariance.parts)
    ]


def _group_lines(group: GroupingFactor, letter: str, mark: str) -> list[str]:
    if group.smooth is not None:
        return _smooth_lines(group, letter, mark)
    name, covariance = _text(group.name), covariance_of(group)
    if group.is_membership:
        return [
            rf"{letter}_k &\sim \operatorname{{Normal}}(0, \sigma{mark}_{{{name},0}}), "
            rf"\quad k = 1, \dots, {group.n_members}"
        ]
    if group.between is not None:
        lines = _related_lines(group, letter, mark)
        if group.n_effects == 1:
            return lines
    elif group.n_effects == 1:
        return [
            rf"{letter}_{{j,0}} &\sim {_law(group, 'Normal', mark)}0, \sigma{mark}_{{{name},0}}), "
            rf"\quad j = 1, \dots, {group.n_levels}"
        ]
    else:
        lines = [
            rf"{letter}_j &\sim {_law(group, 'MvNormal', mark)}0, \Sigma{mark}_{{{name}}}), "
            rf"\quad j = 1, \dots, {group.n_levels}"
        ]
    sds = _runs([rf"\sigma{mark}_{{{name},{k}}}" for k in covariance.sd_of_effect.tolist()])
    diagonal = sds[0] if len(sds) == 1 else rf"\operatorname{{diag}}({', '.join(sds)})"
    if not covariance.is_diagonal:
        S, R = rf"S{mark}_{{{name}}}", rf"R{mark}_{{{name}}}"
        lines.append(rf"\Sigma{mark}_{{{name}}} &= {S} {R} {S}, \quad {S} = {diagonal}")
    elif len(sds) == 1:
        lines.append(rf"\Sigma{mark}_{{{name}}} &= ({diagonal})^2")
    else:
        lines.append(rf"\Sigma{mark}_{{{name}}} &= {diagonal}^2")
    for part in covariance.with_coordinates:
        symbols = {
            p.name: _of_structure(own, group, mark) for own, p in part.named_parameters().items()
        }
        entries = part.covariance.latex(symbols)
        if entries is not None:
            lines.append(rf"(R{mark}_{{{name}{_range(group, part)}}})_{{ij}} &= {entries}")
    return lines


def _runs(symbols: list[str]) -> list[str]:
    """Elements of a diagonal: one that repeats as a multiple of the identity, many by dots."""
    found = []
    for symbol, run in itertools.groupby(symbols):
        n = len(list(run))
        found.append(symbol if n == 1 else f"{symbol} I_{{{n}}}")
    return [*found[:2], r"\dots", found[-1]] if len(found) > _PER_LINE else found


def _law(group: GroupingFactor, normal: str, mark: str) -> str:
    """The distribution of a level's effects, up to its mean."""
    if not group.is_student:
        return rf"\operatorname{{{normal}}}("
    student = normal.replace("Normal", "StudentT")
    return rf"\operatorname{{{student}}}({_of_structure('df', group, mark)}, "


def _related_lines(group: GroupingFactor, letter: str, mark: str) -> list[str]:
    """The effects of all levels together, where these have a known covariance."""
    assert group.between is not None  # noqa: S101
    name, A = _text(group.name), _text(group.between.name)
    within = rf"\Sigma{mark}_{{{name}}} \otimes {A}"
    which = rf"\operatorname{{vec}}({letter})"
    if group.n_effects == 1:
        within, which = rf"\sigma{mark}_{{{name},0}}^2\,{A}", rf"{letter}_{{\cdot,0}}"
    return [
        rf"{which} &\sim \operatorname{{MvNormal}}(0, {within}), "
        rf"\quad j = 1, \dots, {group.n_levels}"
    ]


def _range(group: GroupingFactor, part: Part) -> str:
    """Index of a block of R; empty if it is all of it."""
    return "" if part.size == group.n_effects else f",{part.start}:{part.stop - 1}"


def _of_structure(parameter: str, group: GroupingFactor, mark: str) -> str:
    """Symbol of a structure's parameter: rho is a Greek letter, what else there is a word."""
    letter = r"\rho" if parameter.startswith("rho") else rf"\text{{{_escape(parameter)}}}"
    return rf"{letter}{mark}_{{{_text(group.name)}}}"


def _prior_lines(own: _Part, priors: PredictorPriors) -> list[str]:
    predictor, mark, symbols = own.predictor, own.mark, own.symbols
    lines = []
    slopes = [symbols[j] for j in predictor.slopes]
    if priors.intercept is not None:
        left = symbols[predictor.fixed_effects.index("Intercept")]
        if priors.intercept_is_centered and slopes:
            left = rf"{left} + \textstyle\sum_k \beta{mark}_k \bar x_k"
        lines.append(rf"{left} &\sim {_distribution(priors.intercept.prior)}")
    for symbol, entry in zip(slopes, priors.coefficients, strict=True):
        lines.append(rf"{symbol} &\sim {_distribution(entry.prior)}")
    for group in predictor.groups:
        name = _text(group.name)
        for k, entry in enumerate(priors.sd[group.name]):
            lines.append(rf"\sigma{mark}_{{{name},{k}}} &\sim {_distribution(entry.prior)}")
        for part in covariance_of(group).free:
            lkj = _distribution(priors.corr[group.name].prior)
            lines.append(rf"R{mark}_{{{name}{_range(group, part)}}} &\sim {lkj}")
        for parameter, entry in priors.structure.get(group.name, {}).items():
            symbol = _of_structure(parameter, group, mark)
            lines.append(rf"{symbol} &\sim {_distribution(entry.prior)}")
    return lines


def _family_line(name: str, entry: PriorInForce) -> str:
    symbol = _symbol(name)
    if name == "thresholds" and entry.note.endswith(AT_MEANS):
        symbol += r" - \textstyle\sum_k \beta_k \bar x_k"
    return rf"{symbol} &\sim {_distribution(entry.prior)}"


def _symbol(parameter: str) -> str:
    """A parameter of the family."""
    greek = {"sigma", "nu", "alpha", "phi"}
    special = {"lam": r"\lambda", "thresholds": r"\tau_k"}
    plain = rf"\{parameter}" if parameter in greek else rf"\text{{{_escape(parameter)}}}"
    return special.get(parameter, plain)


def _distribution(prior: Prior) -> str:
    inside = ", ".join(_number(value) for value in prior.parameters.values())
    return rf"\operatorname{{{prior.distribution}}}({inside})"


def _number(value: float) -> str:
    """A number, whose power of ten LaTeX would read as e plus an exponent."""
    digits, e, power = f"{value:.4g}".partition("e")
    return rf"{digits} \times 10^{{{int(power)}}}" if e else digits


def _letter(number: int) -> str:
    return "bcdfghklmnpqrstuvw"[number % 18]


def _index(group: GroupingFactor) -> str:
    return rf"\text{{{_escape(group.name)}}}"


def _text(name: str) -> str:
    return rf"\text{{{_escape(name)}}}"


def _escape(name: str) -> str:
    special = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    return "".join(special.get(c, "\\" + c if c in "_%&#${}" else c) for c in one_line(name))
