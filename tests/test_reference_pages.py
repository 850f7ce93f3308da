"""What the reference pages say of the package is what the package does."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from scipy import special

import bayesmix as bmx
from bayesmix.families import Categorical, Multinomial
from bayesmix.results.laplace_fit import LaplaceFit
from bayesmix.results.means.marginal_means import MarginalMeans
from tests.families.cases import (
    INVERSE,
    LEFT_SIDE,
    ORDINARY,
    family_data,
    linear_predictor,
    make,
)  # fmt: skip
from tests.site_modules import DOCS, densities, made_tables

DATA = family_data(24)


def value(name: str, base_y: float | None = None, **given: Any) -> float:
    """The density that a page has for one response."""
    density = densities.DENSITIES[name]

    def f(y: float) -> float:
        return value(density.base, **{**given, "y": y})

    with np.errstate(over="ignore"):  # late terms of a series
        return float(density.value(f=f, **given))


@pytest.mark.parametrize("name", ORDINARY)
def test_the_density_on_the_page_is_that_of_the_family(name: str, rng: np.random.Generator) -> None:
    family, parameters = make(name, ORDINARY[name].links[0])
    model = bmx.Model(f"{LEFT_SIDE[name]} ~ x", DATA, family=family)
    eta = linear_predictor(family, len(DATA), rng)
    given, is_ordinal = dict(parameters), "thresholds" in parameters
    if is_ordinal:
        ends = [-np.inf, *given.pop("thresholds"), np.inf]
        given.update(tau=dict(enumerate(ends)), K=len(ends) - 1)
    if is_ordinal:
        of_rows = [{"eta": e} for e in eta]
    else:
        of_rows = [{"eta": e, "mu": m} for e, m in zip(eta, family.inverse_link(eta), strict=True)]
    trials = model.rows.get("trials", np.zeros(len(DATA)))
    found = [
        value(name, y=int(y) if is_ordinal else y, n=n, F=INVERSE[family.link], **own,
              **given)
        for y, n, own in zip(model.y, trials, of_rows, strict=True)
    ]  # fmt: skip
    expected = np.exp(family.log_prob(model.y, eta, parameters, model.rows))
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_the_densities_of_categories_in_no_order(rng: np.random.Generator) -> None:
    eta = rng.normal(size=(3, 2))
    others = {"mu3": eta[1], "mu4": eta[2]}
    labels = tuple("abcd")
    of_rows = [dict(enumerate([0.0, *e], start=1)) for e in eta.T]
    y = np.array([1.0, 3.0])
    found = [value("categorical", y=int(v), eta=e, K=4) for v, e in zip(y, of_rows, strict=True)]
    own = Categorical(labels=labels).log_prob(y, eta[0], others)
    np.testing.assert_allclose(found, np.exp(own), rtol=1e-10)
    counts = np.array([[2.0, 0, 1, 3], [0, 4, 1, 1]])
    found = [
        value("multinomial", y=dict(enumerate(c, start=1)), n=c.sum(), eta=e, K=4)
        for c, e in zip(counts, of_rows, strict=True)
    ]
    own = Multinomial(labels=labels).log_prob(counts, eta[0], others, {"trials": counts.sum(1)})
    np.testing.assert_allclose(found, np.exp(own), rtol=1e-10)


def test_every_family_has_its_density_and_priors() -> None:
    text = made_tables.TABLES["densities"]()
    assert set(densities.DENSITIES) == set(bmx.families.FAMILIES)
    sections = dict(re.findall(r"### (\w+)\n(.*?)(?=\n### |\Z)", text, re.S))
    for name, family in bmx.families.FAMILIES.items():
        named = re.findall(r"^- `(\w+)` (?:is|are) .* prior is `\w+\(.*\)`$", sections[name], re.M)
        assert named == list(family().parameters), name
    # Numbers that only stand for what the data say are not among them.
    made = text + made_tables.TABLES["structure_priors"]()
    assert not re.search(r"37\.3|53\.7|17\.9|7\.32|2\.88", made)
    assert "| `rho` | `cs`, `homcs` | `Uniform(lower=-1 / (K - 1), upper=1)` |" in made


def test_equations_are_written_with_the_parentheses_that_they_need() -> None:
    assert densities.latex("(a + b) * c**2") == r"\left(a + b\right)\, c^{2}"
    assert densities.latex("a - (b - c)") == r"a - \left(b - c\right)"
    assert densities.latex("exp(-(y / s)**alpha)") == (
        r"\exp\left(-\left(\frac{y}{s}\right)^{\alpha}\right)"
    )
    assert densities.latex("sum(p[k] for k in to(1, oo))") == r"\sum_{k=1}^{\infty} p_{k}"


def test_equations_become_mathml() -> None:
    from latex2mathml.converter import convert

    for density in densities.DENSITIES.values():
        made = convert(density.latex(), display="block")
        assert made.startswith("<math")
        assert "\\" not in re.sub(r"<[^>]*>", "", made)
    assert special.gamma(5.0) == densities.FUNCTIONS["Gamma"](5.0)


def test_the_page_of_fits_names_every_method_and_attribute() -> None:
    named = set(re.findall(r"`(\w+)`", (DOCS / "reference" / "fits.md").read_text()))
    for kind in (bmx.Posterior, bmx.EmpiricalBayes, LaplaceFit):
        public = {name for name in dir(kind) if not name.startswith("_")}
        assert public <= named, public - named
    known = {n for kind in (bmx.Posterior, LaplaceFit, MarginalMeans, bmx.Model) for n in dir(kind)}
    own = {"model", "idata", "seconds", "Posterior", "EmpiricalBayes", "eval-rst"}
    assert named <= known | own, named - known


def test_every_public_name_has_a_page() -> None:
    pages = "\n".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
    listed = set(re.findall(r"^   (\w+)$", pages, re.M))
    assert set(bmx.__all__) - {"errors", "families"} <= listed


def test_what_a_language_model_reads_has_links_that_lead_and_code_that_runs() -> None:
    text = (DOCS / "llms.txt").read_text()
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): \S", text, re.M)
    assert len(links) > 20
    for link in links:
        assert (DOCS / link).with_suffix(".md").exists(), link
    (code,) = re.findall("```python\n(.*?)```", text, flags=re.S)
    exec(compile(code.replace("seed=1", "seed=1, progress=False"), "llms.txt", "exec"), {})  # noqa: S102
