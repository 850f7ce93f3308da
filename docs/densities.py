"""Densities of the families, written once: drawn by the site, and evaluated by a test.

Each is an expression of Python over y, the mean mu or the linear predictor eta, the family's
parameters and the functions in `FUNCTIONS`. `latex` writes it as an equation.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special

__all__ = ["DENSITIES", "FUNCTIONS", "Density", "to"]


_NEXT = r" \\ "  # to the next line


@dataclass(frozen=True, slots=True)
class Density:
    """A density or probability of one response.

    Attributes
    ----------
    cases : mapping of str to str
        Expressions by the condition on y; the empty one is for all others.
    where : mapping of str to str
        Expressions of what is abbreviated in them, each by what comes behind it; that of
        ``p[k]`` is one for each category.
    base : str
        The family that f is of, where another one is part of it.
    """

    cases: Mapping[str, str]
    where: Mapping[str, str] = field(default_factory=dict)
    base: str = ""

    def value(self, **given: Any) -> float:
        """Evaluate it for one response.

        Parameters
        ----------
        **given
            y, mu or eta, parameters, F for the inverse of the link, f for the density of `base`,
            and K, where there are categories.
        """
        names = {**FUNCTIONS, **given}
        for name, text in reversed(self.where.items()):
            if name.endswith("[k]"):
                each = {k: eval(text, {**names, "k": k}) for k in to(1, names["K"])}  # noqa: S307
                names[name.removesuffix("[k]")] = each
            else:
                names[name] = eval(text, names)  # noqa: S307
        for case, text in self.cases.items():
            if not case or eval(case, names):  # noqa: S307
                return float(eval(text, names))  # noqa: S307
        raise ValueError(given)

    def latex(self) -> str:
        """Write it as an equation."""
        left = "p(y)"
        if list(self.cases) == [""]:
            text = f"{left} = {latex(self.cases[''])}"
        else:
            other = r"\text{otherwise}"
            rows = [
                f"{latex(value)} & {latex(case) if case else other}"
                for case, value in self.cases.items()
            ]
            text = rf"{left} = \begin{{cases}}{_NEXT.join(rows)}\end{{cases}}"
        return text + "".join(
            rf",\quad {latex(name)} = {latex(value)}" for name, value in self.where.items()
        )


def _plain(value: str, **where: str) -> Density:
    return Density({"": value}, where)


_NORMAL = "exp(-(y - mu)**2 / (2 * sigma**2)) / (sqrt(2 * pi) * sigma)"
_SHAPES = {"a": "mu * phi", "b": "(1 - mu) * phi"}
_BETA = "y**(a - 1) * (1 - y)**(b - 1) / B(a, b)"
_COUNT = "Gamma(y + {r}) / (Gamma({r}) * factorial(y))"

DENSITIES: dict[str, Density] = {
    "gaussian": _plain(_NORMAL),
    "student_t": _plain(
        "Gamma((nu + 1) / 2) / (Gamma(nu / 2) * sqrt(pi * nu) * sigma)"
        " * (1 + (y - mu)**2 / (nu * sigma**2))**(-(nu + 1) / 2)"
    ),
    "lognormal": _plain("exp(-(log(y) - mu)**2 / (2 * sigma**2)) / (sqrt(2 * pi) * sigma * y)"),
    "laplace": _plain("exp(-abs(y - mu) / sigma) / (2 * sigma)"),
    "skew_normal": _plain(
        "2 / omega * phi_0(z) * Phi(alpha * z)",
        z="(y - mu) / omega + delta * sqrt(2 / pi)",
        omega="sigma / sqrt(1 - 2 * delta**2 / pi)",
        delta="alpha / sqrt(1 + alpha**2)",
    ),
    "von_mises": _plain("exp(kappa * cos(y - mu)) / (2 * pi * I_0(kappa))"),
    "bernoulli": _plain("mu**y * (1 - mu)**(1 - y)"),
    "binomial": _plain("choose(n, y) * mu**y * (1 - mu)**(n - y)"),
    "beta_binomial": _plain("choose(n, y) * B(y + a, n - y + b) / B(a, b)", **_SHAPES),
    "poisson": _plain("mu**y * exp(-mu) / factorial(y)"),
    "negative_binomial": _plain(
        _COUNT.format(r="alpha") + " * (mu / (mu + alpha))**y * (alpha / (mu + alpha))**alpha"
    ),
    "negative_binomial1": _plain(
        _COUNT.format(r="r") + " * (alpha / (1 + alpha))**y * (1 / (1 + alpha))**r",
        r="mu / alpha",
    ),
    "generalized_poisson": _plain(
        "theta * (theta + delta * y)**(y - 1) * exp(-theta - delta * y) / factorial(y)",
        theta="mu * (1 - delta)",
    ),
    "gamma": _plain("(alpha / mu)**alpha * y**(alpha - 1) * exp(-(alpha * y / mu)) / Gamma(alpha)"),
    "inverse_gaussian": _plain(
        "sqrt(lam / (2 * pi * y**3)) * exp(-(lam * (y - mu)**2 / (2 * mu**2 * y)))"
    ),
    "exponential": _plain("exp(-y / mu) / mu"),
    "weibull": _plain(
        "alpha / s * (y / s)**(alpha - 1) * exp(-(y / s)**alpha)", s="mu / Gamma(1 + 1 / alpha)"
    ),
    "tweedie": Density(
        {
            "y == 0": "exp(-r)",
            "": "sum(r**j * exp(-r) / factorial(j) * y**(j * a - 1) * exp(-y / s)"
            " / (Gamma(j * a) * s**(j * a)) for j in to(1, oo))",
        },
        {
            "r": "mu**(1 - xi) / (phi * (1 - xi))",
            "a": "(1 - xi) / xi",
            "s": "phi * xi * mu**xi",
        },
    ),
    "beta": _plain(_BETA, **_SHAPES),
    "ordbeta": Density(
        {
            "y == 0": "1 - F(eta - cut)",
            "y == 1": "F(eta - cut - gap)",
            "": f"(F(eta - cut) - F(eta - cut - gap)) * {_BETA}",
        },
        _SHAPES,
    ),
    "cumulative": _plain("F(tau[y] - eta) - F(tau[y - 1] - eta)"),
    "sratio": _plain("F(tau[y] - eta) * prod(1 - F(tau[k] - eta) for k in to(1, y - 1))"),
    "cratio": _plain("(1 - F(eta - tau[y])) * prod(F(eta - tau[k]) for k in to(1, y - 1))"),
    "acat": _plain(
        "o[y] / sum(o[k] for k in to(1, K))",
        **{"o[k]": "prod(F(eta - tau[j]) / (1 - F(eta - tau[j])) for j in to(1, k - 1))"},
    ),
    "categorical": _plain("exp(eta[y]) / sum(exp(eta[k]) for k in to(1, K))"),
    "multinomial": _plain(
        "factorial(n) * prod(p[k]**y[k] / factorial(y[k]) for k in to(1, K))",
        **{"p[k]": "exp(eta[k]) / sum(exp(eta[j]) for j in to(1, K))"},
    ),
    **{
        f"zero_inflated_{base}": Density(
            {"y == 0": "zi + (1 - zi) * f(0)", "": "(1 - zi) * f(y)"}, base=base
        )
        for base in ("poisson", "negative_binomial", "binomial")
    },
    **{
        f"hurdle_{base}": Density({"y == 0": "hu", "": "(1 - hu) * f(y) / (1 - f(0))"}, base=base)
        for base in ("poisson", "negative_binomial")
    },
    "hurdle_gamma": Density({"y == 0": "hu", "": "(1 - hu) * f(y)"}, base="gamma"),
}


def to(first: int, last: float) -> Iterator[int]:
    """Whole numbers up to the last, which belongs to them; 150 are as good as endlessly many."""
    return iter(range(int(first), int(min(last, 150)) + 1))


FUNCTIONS: dict[str, Any] = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "cos": np.cos, "abs": abs, "pi": np.pi,
    "Gamma": special.gamma, "B": special.beta, "choose": special.binom,
    "factorial": special.factorial, "I_0": special.i0, "Phi": special.ndtr, "sum": sum,
    "phi_0": lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi), "prod": math.prod, "to": to,
    "oo": math.inf,
}  # fmt: skip

# -- equations ---------------------------------------------------------------------

_GREEK = {
    "alpha", "beta", "delta", "eta", "kappa", "mu", "nu", "omega", "phi", "pi", "sigma", "tau",
    "theta", "xi",
}  # fmt: skip
_SYMBOLS = {"lam": r"\lambda", "oo": r"\infty"}
_CALLS = {"exp": r"\exp", "log": r"\log", "cos": r"\cos", "Phi": r"\Phi", "phi_0": r"\phi",
          "Gamma": r"\Gamma", "B": r"\mathrm{B}", "I_0": "I_0", "F": "F", "f": "f"}  # fmt: skip
_ADDS, _TIMES, _POWER, _ATOM = range(1, 5)


def latex(text: str) -> str:
    """Write an expression as an equation."""
    return _written(ast.parse(text, mode="eval").body)[0]


def _within(node: ast.AST, least: int) -> str:
    """In parentheses, where it binds less than it has to."""
    text, binds = _written(node)
    return text if binds >= least else rf"\left({text}\right)"


def _written(node: ast.AST) -> tuple[str, int]:
    """An equation, and how strongly it binds."""
    match node:
        case ast.Constant(value=value):
            return f"{value}", _ATOM
        case ast.Name(id=name):
            return _name(name), _ATOM
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            return f"{_written(left)[0]} = {_written(right)[0]}", 0
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return f"-{_within(inner, _TIMES)}", _ADDS
        case ast.Subscript(value=value, slice=at):
            return f"{_within(value, _ATOM)}_{{{_written(at)[0]}}}", _ATOM
        case ast.BinOp(left=left, op=op, right=right):
            return _operation(left, op, right)
        case ast.Call(func=ast.Name(id=name), args=args):
            return _call(name, args)
    raise ValueError(ast.dump(node))


def _name(name: str) -> str:
    if name in _GREEK:
        return rf"\{name}"
    return _SYMBOLS.get(name, name if len(name) == 1 else rf"\mathrm{{{name}}}")


def _operation(left: ast.expr, op: ast.operator, right: ast.expr) -> tuple[str, int]:
    match op:
        case ast.Add():
            return f"{_within(left, _ADDS)} + {_within(right, _ADDS)}", _ADDS
        case ast.Sub():
            return f"{_within(left, _ADDS)} - {_within(right, _TIMES)}", _ADDS
        case ast.Mult():
            return rf"{_within(left, _TIMES)}\, {_within(right, _TIMES)}", _TIMES
        case ast.Div():
            sign = "-" if isinstance(left, ast.UnaryOp) else ""
            above = _written(left.operand if isinstance(left, ast.UnaryOp) else left)[0]
            return rf"{sign}\frac{{{above}}}{{{_written(right)[0]}}}", _ADDS if sign else _TIMES
    return f"{_within(left, _ATOM)}^{{{_written(right)[0]}}}", _POWER


def _call(name: str, args: list[ast.expr]) -> tuple[str, int]:
    inside = [_written(arg)[0] for arg in args if not isinstance(arg, ast.GeneratorExp)]
    match name:
        case "sqrt":
            return rf"\sqrt{{{inside[0]}}}", _ATOM
        case "abs":
            return rf"\left|{inside[0]}\right|", _ATOM
        case "choose":
            return rf"\binom{{{inside[0]}}}{{{inside[1]}}}", _ATOM
        case "factorial":
            return f"{_within(args[0], _ATOM)}!", _POWER
        case "sum" | "prod":
            return _series(name, args[0]), _TIMES
    return rf"{_CALLS[name]}\left({', '.join(inside)}\right)", _ATOM


def _series(name: str, terms: ast.expr) -> str:
    assert isinstance(terms, ast.GeneratorExp)  # noqa: S101
    (loop,) = terms.generators
    assert isinstance(loop.iter, ast.Call)  # noqa: S101
    first, last = (_written(end)[0] for end in loop.iter.args)
    index = _written(loop.target)[0]
    return rf"\{name}_{{{index}={first}}}^{{{last}}} {_within(terms.elt, _TIMES)}"
