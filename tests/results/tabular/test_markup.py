"""Summaries as Markdown, LaTeX and one table."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from tests.builders import fake_posterior


@pytest.fixture
def summary(data: pd.DataFrame) -> bmx.results.Summary:
    data = data.rename(columns={"x": "x_1|%"})
    return bmx.Model("y ~ `x_1|%` + (`x_1|%` | g)", data).fit_eb().summary()


def test_one_table_holds_all_at_full_precision(summary: bmx.results.Summary) -> None:
    table = summary.to_dataframe()
    assert list(dict.fromkeys(table["section"])) == [s.title for s in summary.sections]
    fixed = table[table["section"] == "Fixed effects"]
    np.testing.assert_array_equal(fixed["estimate"], summary.sections[0].table["estimate"])


def test_that_table_has_all_levels(data: pd.DataFrame, rng: np.random.Generator) -> None:
    data["g"] = rng.permutation(np.arange(240) % 24)
    model = bmx.Model("y ~ x + (x | g)", data)
    eb, post = model.fit_eb(), fake_posterior(model, rng)
    for fit in (eb, post):
        summary = fit.summary(0.8)
        assert pickle.dumps(summary)
        assert "more levels: group_effects('g')" in str(summary)
        table = summary.to_dataframe()
        mine = table[table["section"] == "Group effects of g"]
        every = fit.group_effects("g", 0.8)
        for column in ("level", "effect", "estimate", "lower"):
            assert mine[column].tolist() == every[column].tolist()
    both = bmx.compare_estimates(eb, post).summary().to_dataframe()
    levels = both.loc[both["section"] == "Group effects of g", "level"]
    assert set(levels) - {""} == {str(i) for i in range(24)}


def test_markdown_tables_have_a_cell_for_each_column(summary: bmx.results.Summary) -> None:
    text = summary.to_markdown()
    rows = [line for line in text.split("\n") if line.startswith("|")]
    assert len(rows) == sum(len(s.table) + 2 for s in summary.sections)
    for start, section in zip(
        np.cumsum([0, *[len(s.table) + 2 for s in summary.sections]]),
        summary.sections,
        strict=False,
    ):
        for row in rows[start : start + len(section.table) + 2]:
            cells = re.split(r"(?<!\\)\|", row)[1:-1]
            assert len(cells) == len(section.table.columns)
    assert r"x\_1\|%" in text


def test_latex_is_escaped_and_has_a_table_per_section(summary: bmx.results.Summary) -> None:
    text = summary.to_latex()
    assert text.count(r"\begin{tabular}") == len(summary.sections)
    assert r"x\_1\textbar{}\%" in text
    assert not re.search(r"(?<!\\)[_%#]", text)
    for line in text.split("\n"):
        if line.endswith(r"\\"):
            assert "|" not in line


def test_levels_that_look_alike_are_told_apart_in_every_table(rng: np.random.Generator) -> None:
    names = np.array(["Ward 1", "Ward\u00a01", "Ward 1 ", "Ward 2"])
    data = pd.DataFrame({"y": rng.normal(size=40), "g": names[np.arange(40) % 4]})
    post = fake_posterior(bmx.Model("y ~ 1 + (1 | g)", data), rng)
    assert set(post.group_effects()["level"]) == set(names)  # tables for work keep the names
    summary = post.summary()
    for text in (str(summary), summary._repr_html_()):
        assert all(name in text for name in ("Ward 1", "Ward\\xa01", "Ward 1\\x20", "Ward 2"))
    assert r"Ward\textbackslash{}xa01" in summary.to_latex()
    assert r"Ward\\xa01" in summary.to_markdown()
