"""Names are drawn as they are written, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.text import Text

import bayesmix as bmx
from bayesmix.results.plots.labels import as_written, wrapped
from tests.builders import fake_posterior
from tests.results.plots.pictures import check_texts, texts

BROKEN = r"$\frac{1$"
LEVELS = [
    BROKEN, r"$x^2$ of two $", "<script>alert(1)</script>", "a|b`c`*d*", "two\nlines",
    "\u05e9\u05dc \u202eabc", "_hidden", "^{x}_% & # ~ {", "[T.x]", r"\alpha \$ $",
]  # fmt: skip
COEFFICIENT = "_f $[T.<b>$x$</b>]"
TEXT = rf"`y {BROKEN}` ~ `x {BROKEN}` + `_f $` + (`x {BROKEN}` | `g$^`)"


@pytest.fixture(scope="module")
def model() -> bmx.Model:
    rng = np.random.default_rng(3)
    n = 200
    return bmx.Model(TEXT, pd.DataFrame({
        f"y {BROKEN}": rng.normal(size=n) + np.arange(n) % 10, f"x {BROKEN}": rng.normal(size=n),
        "_f $": rng.choice([BROKEN, "_b\nc", "<b>$x$</b>"], n), "g$^": np.resize(LEVELS, n),
    }))  # fmt: skip


@pytest.fixture(scope="module")
def eb(model: bmx.Model) -> bmx.EmpiricalBayes:
    return model.fit_eb()


@pytest.fixture(scope="module")
def post(model: bmx.Model) -> bmx.Posterior:
    return fake_posterior(model, np.random.default_rng(4))


def shown(figure: Any) -> str:
    """Every text of a picture, as it is seen."""
    found = texts(figure)
    assert not any(is_math_text(text.get_text()) for text in found)
    return "\n".join(text.get_text().replace("\n", "").replace(r"\$", "$") for text in found)


PICTURES: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "fixed": (lambda f: f.plot_fixed_effects(), [f"x {BROKEN}", COEFFICIENT]),
    "components": (lambda f: f.plot_variance_components(), ["g$^", f"x {BROKEN}"]),
    "groups": (lambda f: f.plot_group_effects(),
               [*LEVELS[:4], r"two\nlines", r"\u202eabc", *LEVELS[6:]]),
    "shrinkage": (lambda f: f.plot_shrinkage(), [f"coefficient of x {BROKEN}", "by g$^"]),
    "one effect": (lambda f: f.plot_shrinkage(effects="Intercept"), [*LEVELS[:4], *LEVELS[6:]]),
    "predictions": (lambda f: f.plot_predictions("_f $", by=f"x {BROKEN}"),
                    [r"_b\nc", BROKEN, f"y {BROKEN}", "levels of g$^", f"x {BROKEN}: "]),
    "colours": (lambda f: f.plot_predictions(f"x {BROKEN}", by="_f $"), [f"_f $: {BROKEN}"]),
    "check": (lambda f: f.check(), [f"y {BROKEN}", "mean by g$^", f"x {BROKEN}"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_no_name_is_read_as_mathematics(eb: bmx.EmpiricalBayes, name: str) -> None:
    draw, wanted = PICTURES[name]
    figure = draw(eb)
    check_texts(figure)
    seen = shown(figure)
    assert [text for text in wanted if text not in seen] == []


def test_nor_is_one_in_pictures_of_draws_and_of_several_fits(
    post: bmx.Posterior, eb: bmx.EmpiricalBayes
) -> None:
    for figure in (
        post.plot_trace(["beta", "sd"]),
        post.plot_pairs([COEFFICIENT, "sd"]),
        post.plot_prior_posterior(["beta", "sd"]),
        bmx.compare_estimates(post, **{BROKEN: eb}).plot("fixed_effects"),
    ):
        check_texts(figure)
        assert COEFFICIENT in shown(figure)
    assert BROKEN in shown(bmx.compare_estimates(post, **{BROKEN: eb}).plot("correlations"))


def test_a_users_own_mathematics_is_still_read(eb: bmx.EmpiricalBayes) -> None:
    axis = eb.plot_fixed_effects().axes[0]
    axis.set_title(r"$\hat\beta$")
    assert is_math_text(axis.get_title())
    axis.figure.canvas.draw()


def test_with_latex_on_every_special_letter_is_escaped() -> None:
    import matplotlib as mpl

    assert as_written("a_b 5 %") == "a_b 5 %"
    with mpl.rc_context({"text.usetex": True}):
        assert as_written("a_b 5 %\n$x") == "a\\_b 5 \\%\n\\$x"


def test_labels_that_are_cut_stay_different() -> None:
    names = [f"a school of the county of Somewhere, called no. {k}, of boys" for k in range(40)]
    for found in (wrapped(names, 12), wrapped(names, 10, 3)):
        assert len(set(found)) == 40
        assert max(len(line) for text in found for line in text.split("\n")) <= 12


def test_forty_levels_of_one_beginning_have_forty_labels() -> None:
    rng = np.random.default_rng(5)
    names = [f"St. Margaret's Hospital, ward {k} (North-West)" for k in range(40)]
    data = pd.DataFrame({"y": rng.normal(size=160), "g": np.resize(names, 160)})
    data["y"] += np.arange(160) % 40
    eb = bmx.Model("y ~ 1 + (1 | g)", data).fit_eb()
    figure = bmx.compare_estimates(eb, again=eb).plot("group_effects")
    check_texts(figure)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == 40
    assert sum("ward 17" in text for text in labels) == 1


def test_notebooks_and_pages_show_names_and_run_nothing(
    model: bmx.Model, eb: bmx.EmpiricalBayes, post: bmx.Posterior
) -> None:
    compared = bmx.compare_estimates(post, **{BROKEN: eb})
    tested = post.hypothesis(f"`x {BROKEN}` > 0")
    for result in (model, eb, post, eb.summary(), post.diagnostics(), compared, tested):
        markup = result._repr_html_()
        assert "<script" not in markup
        assert "<b>" not in markup
        assert "\u202e" not in markup
        assert "\ntwo" not in markup
    # A notebook's MathJax leaves alone what has this class.
    assert eb._repr_html_().startswith('<div class="tex2jax_ignore mathjax_ignore">')
    assert "&lt;script&gt;" in eb.summary()._repr_html_()


def test_tables_in_markdown_and_latex_keep_their_cells(eb: bmx.EmpiricalBayes) -> None:
    summary = eb.summary()
    lines = summary.to_markdown().splitlines()
    rows = [line for line in lines if line.startswith("| ") and "Intercept" in line]
    assert all(line.endswith(" |") for line in rows)
    assert any(r"| \$\\frac\{1\$ | Intercept |" in line for line in rows)
    assert "$" not in summary.to_markdown().replace(r"\$", "")
    latex = summary.to_latex()
    assert r"\$\textbackslash{}frac\{1\$ & Intercept" in latex
    level = pd.DataFrame({"level": ["[T.x]", "*", "plain"], "estimate": [1.0, 2.0, 3.0]})
    from bayesmix.results.tabular.markup import latex_table

    rows = latex_table(level, ["level"], "").splitlines()
    # LaTeX takes what follows a line break in brackets for its size.
    assert [row.split(" & ")[0] for row in rows[7:10]] == ["{}[T.x]", "{}*", "plain"]


def test_equations_hold_names_as_text(model: bmx.Model) -> None:
    from bayesmix.results.files.mathml import equation_html

    page = equation_html(model.equation())
    assert "<pre>" not in page
    assert f"x {BROKEN}" in page
    assert r"_b\nc" in page
    assert "&lt;b&gt;$x$&lt;/b&gt;" in page


def test_every_text_of_a_picture_is_seen_to(eb: bmx.EmpiricalBayes) -> None:
    figure = eb.plot_group_effects()
    figure.canvas.draw()
    assert not [t for t in figure.findobj(Text) if is_math_text(t.get_text())]
