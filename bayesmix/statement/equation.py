"""A model as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from bayesmix.covariance import Part, covariance_of
from bayesmix.design import Design, GroupingFactor
from bayesmix.families import Family
from bayesmix.priors.model_priors import AT_MEANS, ModelPriors, PriorInForce
from bayesmix.priors.prior import Prior
from bayesmix.shorten import one_line

__all__ = ["Equation", "model_equation"]

_PER_LINE = 4  # terms of the linear predictor


class Equation(str):
    """LaTeX text that a notebook shows as mathematics."""

    __slots__ = ()

    def _repr_latex_(self) -> str:
        return f"$${self}$$"


def model_equation(design: Design, family: Family, priors: ModelPriors) -> Equation:
    """Write the likelihood, the linear predictor, the group effects and the priors.

    Parameters
    ----------
    design : Design
    family : Family
    priors : ModelPriors

    Returns
    -------
    Equation
        An ``aligned`` environment, without dollar signs.
    """
    symbols = [_beta(design, j) for j in range(len(design.fixed_effects))]
    likelihood = family.latex()
    if design.weights is not None:
        likelihood = likelihood.replace(r"\sigma", r"\sigma / \sqrt{w_i}")
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
    lines += _predictor(design, symbols)
    for number, group in enumerate(design.groups):
        lines += _group_lines(group, _letter(number))
    lines += _prior_lines(design, priors, symbols)
    body = " \\\\\n".join(lines)
    return Equation(f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}")


def _predictor(design: Design, symbols: Sequence[str]) -> list[str]:
    terms = []
    for symbol, name in zip(symbols, design.fixed_effects, strict=True):
        terms.append(symbol if name == "Intercept" else rf"{symbol}\,{_text(name)}_i")
    if design.offset is not None:
        terms += [rf"{_text(piece.text)}_i" for piece in design.formula.offsets]
    for number, group in enumerate(design.groups):
        letter = _letter(number)
        for k, effect in enumerate(group.effects):
            b = rf"{letter}_{{{_index(group)}[i],{k}}}"
            terms.append(b if effect == "Intercept" else rf"{b}\,{_text(effect)}_i")
    if not terms:
        return [r"\eta_i &= 0"]
    rows = [terms[i : i + _PER_LINE] for i in range(0, len(terms), _PER_LINE)]
    lines = [rf"\eta_i &= {' + '.join(rows[0])}"]
    return lines + [rf"&\quad + {' + '.join(row)}" for row in rows[1:]]


def _group_lines(group: GroupingFactor, letter: str) -> list[str]:
    name, covariance = _text(group.name), covariance_of(group)
    if group.n_effects == 1:
        return [
            rf"{letter}_{{j,0}} &\sim \operatorname{{Normal}}(0, \sigma_{{{name},0}}), "
            rf"\quad j = 1, \dots, {group.n_levels}"
        ]
    lines = [
        rf"{letter}_j &\sim \operatorname{{MvNormal}}(0, \Sigma_{{{name}}}), "
        rf"\quad j = 1, \dots, {group.n_levels}"
    ]
    sds = ", ".join(rf"\sigma_{{{name},{k}}}" for k in covariance.sd_of_effect.tolist())
    diagonal = rf"\operatorname{{diag}}({sds})"
    if not covariance.is_diagonal:
        S = rf"S_{{{name}}}"
        lines.append(rf"\Sigma_{{{name}}} &= {S} R_{{{name}}} {S}, \quad {S} = {diagonal}")
    else:
        lines.append(rf"\Sigma_{{{name}}} &= {diagonal}^2")
    for part in covariance.parts:
        symbols = {p.name: _symbol(p_name, group) for p_name, p in part.named_parameters().items()}
        entries = part.covariance.latex(symbols)
        if entries is not None:
            lines.append(rf"(R_{{{name}{_range(group, part)}}})_{{ij}} &= {entries}")
    return lines


def _range(group: GroupingFactor, part: Part) -> str:
    """Index of a block of R; empty if it is all of it."""
    return "" if part.size == group.n_effects else f",{part.start}:{part.stop - 1}"


def _symbol(parameter: str, group: GroupingFactor) -> str:
    """Symbol of a structure's parameter: rho is a Greek letter, what else there is a word."""
    letter = r"\rho" if parameter.startswith("rho") else rf"\text{{{_escape(parameter)}}}"
    return rf"{letter}_{{{_text(group.name)}}}"


def _prior_lines(design: Design, priors: ModelPriors, symbols: Sequence[str]) -> list[str]:
    lines = []
    slopes = [
        symbol
        for symbol, name in zip(symbols, design.fixed_effects, strict=True)
        if priors.intercept is None or name != "Intercept"
    ]
    if priors.intercept is not None:
        left = symbols[design.fixed_effects.index("Intercept")]
        if priors.intercept_is_centered and slopes:
            left = rf"{left} + \textstyle\sum_k \beta_k \bar x_k"
        lines.append(rf"{left} &\sim {_distribution(priors.intercept.prior)}")
    for symbol, entry in zip(slopes, priors.coefficients, strict=True):
        lines.append(rf"{symbol} &\sim {_distribution(entry.prior)}")
    for group in design.groups:
        name = _text(group.name)
        for k, entry in enumerate(priors.sd[group.name]):
            lines.append(rf"\sigma_{{{name},{k}}} &\sim {_distribution(entry.prior)}")
        for part in covariance_of(group).free:
            lkj = _distribution(priors.corr[group.name].prior)
            lines.append(rf"R_{{{name}{_range(group, part)}}} &\sim {lkj}")
        for parameter, entry in priors.structure.get(group.name, {}).items():
            lines.append(rf"{_symbol(parameter, group)} &\sim {_distribution(entry.prior)}")
    lines += [_family_line(name, entry) for name, entry in priors.family.items()]
    return lines


def _family_line(name: str, entry: PriorInForce) -> str:
    greek = {"sigma", "nu", "alpha", "phi"}
    special = {"lam": r"\lambda", "thresholds": r"\tau_k"}
    plain = rf"\{name}" if name in greek else rf"\text{{{_escape(name)}}}"
    symbol = special.get(name, plain)
    if name == "thresholds" and entry.note.endswith(AT_MEANS):
        symbol += r" - \textstyle\sum_k \beta_k \bar x_k"
    return rf"{symbol} &\sim {_distribution(entry.prior)}"


def _distribution(prior: Prior) -> str:
    inside = ", ".join(f"{value:.4g}" for value in prior.parameters.values())
    return rf"\operatorname{{{prior.distribution}}}({inside})"


def _beta(design: Design, j: int) -> str:
    number = j if design.has_intercept else j + 1
    return rf"\beta_{{{number}}}"


def _letter(number: int) -> str:
    return "bcdfghklmnpqrstuvw"[number % 18]


def _index(group: GroupingFactor) -> str:
    return rf"\text{{{_escape(group.name)}}}"


def _text(name: str) -> str:
    return rf"\text{{{_escape(name)}}}"


def _escape(name: str) -> str:
    special = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    return "".join(special.get(c, "\\" + c if c in "_%&#${}" else c) for c in one_line(name))
