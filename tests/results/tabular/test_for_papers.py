"""Tables for papers: captions, labels, digits, an estimate and its interval in one column."""

from __future__ import annotations

from typing import Any

import pytest

import bayesmix as bmx


@pytest.fixture(scope="module")
def eb() -> Any:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    return model.fit_eb()


def test_the_levels_are_left_out_where_one_says_so(eb: Any) -> None:
    assert "Group effects of Subject" in str(eb.summary())
    short = eb.summary(groups=False)
    assert "Group effects" not in str(short)
    assert [s.title for s in short.sections] == [
        "Fixed effects", "Variance components", "Correlations"
    ]  # fmt: skip


def test_latex_has_caption_label_and_digits(eb: Any) -> None:
    text = eb.summary(groups=False).to_latex(caption="Sleep & work", label="tab:sleep", digits=2)
    assert r"\caption{Sleep \& work. Fixed effects}" in text
    assert [line for line in text.splitlines() if "label" in line] == [
        r"\label{tab:sleep}", r"\label{tab:sleep-2}", r"\label{tab:sleep-3}"
    ]  # fmt: skip
    assert "Days & 10.47 & 1.55 & 7.44 & 13.50" in text
    assert r"\label{ab}" in eb.summary().to_latex(label=r"a}\b")
    with pytest.raises(bmx.errors.ArgumentError, match="digits=-1"):
        eb.summary().to_latex(digits=-1)


def test_an_estimate_stands_with_its_interval(eb: Any) -> None:
    text = eb.summary(0.9, groups=False).to_latex(intervals=True, digits=2)
    assert r"term & estimate [90\% CI] & sd" in text.replace("90 \\%", "90\\%")
    assert "Days & 10.47 [7.92, 13.01] & 1.55" in text
    assert "SD [90" in text
    markdown = eb.summary(groups=False).to_markdown(intervals=True, digits=1)
    assert r"10.5 \[7.4, 13.5\]" in markdown
    assert markdown.count("CI") == 3


def test_a_short_run_is_short_and_no_alarm(eb: Any) -> None:
    import numpy as np

    from bayesmix.results.tabular.diagnostics import diagnose_sampling

    rng = np.random.default_rng(1)
    stats = {"diverging": np.zeros((2, 500), dtype=bool), "energy": rng.normal(size=(2, 500))}
    slow = rng.normal(size=(2, 500))
    for k in range(1, 500):  # about an eighth of the draws count
        slow[:, k] = 0.8 * slow[:, k - 1] + 0.6 * slow[:, k]
    short = diagnose_sampling({"x": slow, "z": rng.normal(size=(2, 500))}, stats)
    assert short.problems
    assert not short.alarming
    assert any("about draws=" in words and "of x rest" in words for words in short.problems)
    apart = diagnose_sampling({"x": slow + np.array([[0.0], [3.0]])}, stats)
    assert apart.alarming
    assert "the chains disagree" in apart.problems[0]
    diverging = stats | {"diverging": stats["diverging"] | (np.arange(500) == 3)}
    assert diagnose_sampling({"x": rng.normal(size=(2, 500))}, diverging).alarming
