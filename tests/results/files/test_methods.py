"""A paragraph on methods says what was done, and nothing that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError
from bayesmix.results.tabular.methods import REFERENCES
from tests.builders import fake_posterior

WORDS = {"Days": "days awake", "Subject": "person", "Reaction": "reaction time"}


@pytest.fixture(scope="module")
def model() -> bmx.Model:
    return bmx.Model(
        "Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"),
        priors={"sigma": bmx.Prior("HalfNormal", sigma=30)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def eb(model: bmx.Model) -> Any:
    return model.fit_eb()


def test_reml_has_no_priors(eb: Any) -> None:
    text = eb.methods(labels=WORDS).text
    for part in (
        "We analysed reaction time with a linear mixed model", "180 rows",
        "'Reaction ~ Days + (Days | Subject)'",
        "Intercept and days awake (correlated) vary by person (18 levels).",
        "restricted maximum likelihood", "profile likelihood", "The optimiser converged.",
        f"bayesmix {bmx.__version__}.",
    ):  # fmt: skip
        assert part in text
    for part in ("rior", "R-hat", "nutpie", "sampl"):
        assert part not in text
    assert len(eb.methods().references) == 2


def test_a_mode_has_priors_and_says_whose(model: bmx.Model) -> None:
    text = model.fit_eb(method="map").methods(labels=WORDS).text
    assert "marginal posterior mode" in text
    assert "sd(person, days awake) ~ HalfCauchy(beta=19.56)" in text
    assert "Those of sigma were chosen by us" in text


def test_draws_have_their_sampler_and_its_figures(model: bmx.Model) -> None:
    post = fake_posterior(model, np.random.default_rng(3))
    methods = post.methods()
    found = post.diagnostics()
    assert "Bayesian linear mixed model" in methods.text
    assert "3 chains of 200 draws" in methods.text
    assert f"R-hat was {found.max_r_hat:.3f}" in methods.text
    assert f"{found.min_ess_bulk:.0f}" in methods.text
    assert {"Hoffman", "Vehtari", "Lewandow"} <= {line[:8].split(",")[0] for line in
                                                  methods.references}  # fmt: skip
    assert "integrated out" not in methods.text  # these draws were invented


def test_laplace_and_a_bootstrap_say_so(eb: Any) -> None:
    sleep = bmx.load_dataset("sleepstudy")
    slow = sleep.assign(slow=(sleep["Reaction"] > 300).astype(int))
    fit = bmx.Model("slow ~ Days + (1 | Subject)", slow, family="bernoulli").fit_eb()
    assert "Laplace's approximation (Tierney and Kadane, 1986)" in fit.methods().text
    assert "generalized linear mixed model: family bernoulli (logit link)" in fit.methods().text
    text = eb.bootstrap(30, seed=1, progress=False).methods().text
    assert "percentile intervals of a parametric bootstrap with 30 refits (seed 1)" in text
    assert "Wald" not in text


def test_it_prints_and_is_written(eb: Any) -> None:
    methods = eb.methods()
    assert max(map(len, str(methods).splitlines())) <= 80
    assert r"\~{}" not in methods.to_latex()
    assert r"\textasciitilde{}" in methods.to_latex()
    assert methods.to_markdown().count("\n- ") == len(methods.references)
    assert "<li>" in methods._repr_html_()
    assert all(methods.text not in reference for reference in REFERENCES.values())
    with pytest.raises(ArgumentError, match="dict of words"):
        eb.methods(labels="Days")


def test_a_report_has_it_and_the_users_words(eb: Any, tmp_path: Path) -> None:
    page = eb.report(
        tmp_path / "a.html", labels=WORDS, tables={"Mine": eb.fixed_effects()}
    ).read_text()
    assert "<h2>Methods</h2>" in page
    assert "Patterson, H. D." in page
    for title in ("Intraclass correlation", "Explained variance", "Tests of fixed effects"):
        assert title in page
    for title in ("Partial pooling", "Predictions"):
        assert f'alt="{title}"' in page
    assert '<td class="name">days awake</td>' in page
    assert '<td class="name">Days</td>' not in page.split("<h2>Estimates</h2>")[1]


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        (
            "nuts",
            "by the no-U-turn sampler (Hoffman and Gelman, 2014), 2 chains of 200 draws after",
        ),
        ("independent", "by independence Metropolis with proposals from a fitted t distribution"),
    ],
)
@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_each_sampler_is_named_as_what_it_is(
    model: bmx.Model, eb: Any, sampler: Any, words: str
) -> None:
    post = model.fit(sampler=sampler, draws=200, chains=2, seed=1, progress=False)
    text = post.methods().text
    assert "integrated out exactly" in text
    assert words in text
    assert ("nutpie" in text) == (sampler == "nuts")
    assert ("divergent" in text) == (sampler == "nuts")
