"""A model says what it is, in words and as mathematics."""

from __future__ import annotations

import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.results.files.mathml import equation_html


def test_in_words(data: pd.DataFrame) -> None:
    model = bmx.Model(
        "y ~ x + offset(z) + (x | g) + (0 + z + u || g) + (1 | h/ward)",
        data,
        priors={"sigma": bmx.Prior("Exponential", lam=1)},
    )
    text = repr(model)
    for line in (
        "y ~ x + offset(z) + (x | g) + (0 + z + u || g) + (1 | h/ward)",
        "  family gaussian (identity link), 240 rows",
        "  fixed effects: Intercept, x",
        "  offset: z",
        "  Intercept and x (correlated); z and u (uncorrelated) vary by g (8 levels)",
        "  Intercept varies by h (5 levels)",
        "  Intercept varies by h:ward (15 levels)",
        "  sigma ~ Exponential(lam=1) (yours)",
    ):
        assert line in text.splitlines()
    assert "no group effects" in repr(bmx.Model("y ~ x", data))


def test_the_equation_has_every_part(data: pd.DataFrame) -> None:
    equation = bmx.Model("y ~ x + f + (x | g) + (1 | h:ward)", data).equation()
    for piece in (
        r"\begin{aligned}",
        r"\text{y}_i &\sim \operatorname{Normal}(\eta_i, \sigma)",
        r"\beta_{0} + \beta_{1}\,\text{x}_i",
        r"\beta_{2}\,\text{f[T.low]}_i",
        r"b_{\text{g}[i],1}\,\text{x}_i",
        r"\operatorname{MvNormal}(0, \Sigma_{\text{g}})",
        r"R_{\text{g}} &\sim \operatorname{LKJ}(2)",
        r"c_{j,0} &\sim \operatorname{Normal}(0, \sigma_{\text{h:ward},0})",
        r"\beta_{0} + \textstyle\sum_k \beta_k \bar x_k",
        r"\sigma &\sim \operatorname{HalfCauchy}",
    ):
        assert piece in equation
    assert equation._repr_latex_().startswith("$$\\begin{aligned}")
    assert equation.count("{") == equation.count("}")


def test_the_equation_escapes_names(data: pd.DataFrame) -> None:
    equation = bmx.Model(
        "y_1 ~ `50%_x` ", data.rename(columns={"y": "y_1", "x": "50%_x"})
    ).equation()
    assert r"\text{y\_1}" in equation
    assert r"\text{50\%\_x}" in equation


@pytest.mark.parametrize("text", ["y ~ 0 + (1 | g)", "y ~ 0 + x", "y ~ (x || g)", "y ~ 1"])
def test_odd_models_have_an_equation_too(text: str, data: pd.DataFrame) -> None:
    equation = bmx.Model(text, data).equation()
    assert equation.startswith("\\begin{aligned}")
    assert "None" not in equation


def test_the_equation_writes_powers_of_ten(data: pd.DataFrame) -> None:
    prior = bmx.Prior("Normal", mu=-2.5e6, sigma=3e-7)
    equation = bmx.Model("y ~ x", data, priors={"x": prior}).equation()
    assert r"\operatorname{Normal}(-2.5 \times 10^{6}, 3 \times 10^{-7})" in equation
    assert "<mo>&#x000D7;</mo>" in equation_html(equation)


def test_priors_are_a_table(data: pd.DataFrame) -> None:
    table = bmx.Model("y ~ x + (x | g)", data).priors
    assert list(table.columns) == ["parameter", "prior", "origin", "note"]
    assert list(table["parameter"]) == [
        "Intercept", "x", "sd(g, Intercept)", "sd(g, x)", "corr(g)", "sigma",
    ]  # fmt: skip


def test_the_equation_of_a_structure_has_one_term_for_all_its_positions(data: pd.DataFrame) -> None:
    table = data.assign(t=range(len(data))).assign(t=lambda d: d["t"] % 9)
    equation = bmx.Model("y ~ x + (1 | g) + ar1(t | g)", table).equation()
    assert r"\textstyle\sum_k b_{\text{g}[i],k}\,[\text{ar1(t)}_i = t_k]" in equation
    assert r"\operatorname{diag}(\sigma_{\text{g},0}, \sigma_{\text{g},1} I_{9})" in equation
    alone = bmx.Model("y ~ x + ar1(t | g)", table).equation()
    assert r"S_{\text{g}} = \sigma_{\text{g},0} I_{9}" in alone
    several = bmx.Model("y ~ x + hetar1(t | g)", table).equation()
    assert r"\sigma_{\text{g},0}, \sigma_{\text{g},1}, \dots, \sigma_{\text{g},8}" in several
    for text in (equation, alone, several):
        assert len(text) < 1800
        equation_html(text)
