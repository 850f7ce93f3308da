"""What a family can do is an attribute: nobody outside its folder asks for its name."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import bayesmix
from bayesmix.families import FAMILIES, Family
from bayesmix.families.links import LINKS
from bayesmix.glmm.rows import LINKS as LINK_CODES
from bayesmix.glmm.rows import ROW_KERNELS

PACKAGE = Path(bayesmix.__file__).parent
CLASSES = {family.__name__ for family in FAMILIES.values()} | {"Unit", "Real", "Positive", "Count"}
# Names that are nobody else's: not of a prior, a transform or a function.
NAMES = set(FAMILIES) - {
    "beta", "categorical", "exponential", "gamma", "laplace", "lognormal", "weibull",
}  # fmt: skip
LINK_WORDS = set(LINKS) - {"log", "sqrt", "identity", "logit"}


def is_family(node: ast.expr) -> bool:
    word = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return word in {"family", "_family"}


def is_name_of_family(node: ast.expr) -> bool:
    """Whether it reads ``family.name``, or the link of anything."""
    if not isinstance(node, ast.Attribute):
        return False
    return node.attr == "link" or (node.attr == "name" and is_family(node.value))


def asks_for_a_name(node: ast.AST) -> bool:
    """Whether an expression decides by what a family or link is called, or by its class."""
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        inner = [part for one in operands for part in ast.walk(one)]
        words = {part.value for part in inner if isinstance(part, ast.Constant)}
        return any(map(is_name_of_family, operands)) or any(
            word in NAMES | LINK_WORDS for word in words if isinstance(word, str)
        )
    if isinstance(node, ast.Subscript):
        return is_name_of_family(node.slice) and not is_table_of_codes(node.value)
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Attribute):  # family.name.startswith(...), table.get(family.name)
            return is_name_of_family(called.value) or (
                called.attr == "get" and any(map(is_name_of_family, node.args))
            )
        if isinstance(called, ast.Name) and called.id in {"hasattr", "getattr", "type"}:
            return bool(node.args) and is_family(node.args[0]) and called.id != "type"
        if isinstance(called, ast.Name) and called.id in {"isinstance", "issubclass"}:
            words = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
            return bool(words & CLASSES)
    return False


def is_table_of_codes(node: ast.expr) -> bool:
    """Whether it is the kernels' own table of links, in which every link stands."""
    return isinstance(node, ast.Name) and node.id == "LINKS"


def test_no_code_outside_families_decides_by_the_name_of_a_family_or_link() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {ast.unparse(node)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "families")
        for node in ast.walk(ast.parse(path.read_text()))
        if asks_for_a_name(node)
    ]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        'family.name == "poisson"', 'model.family.link != "identity"', "isinstance(f, Gaussian)",
        'hasattr(family, "unit_link")', 'model.family.name.startswith("gauss")',
        "TABLE[family.name]", "TABLE.get(family.name, 1)", 'kind in {"cumulative", "bernoulli"}',
        'self._family.link in ("log", "sqrt")',
    ],
)  # fmt: skip
def test_such_code_would_be_found(text: str) -> None:
    assert any(asks_for_a_name(node) for node in ast.walk(ast.parse(text)))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_a_family_declares_its_parameters_once(family: type[Family]) -> None:
    made = family()
    y = np.array([1.0, 2.0, 4.0]) / (8 if made.mean_is_fraction and not made.discrete else 1)
    rows = {"trials": np.full(3, 9.0)} if "trials" in made.needs else {}
    priors = made.default_priors(made.response_scale(y, None, rows))
    assert set(priors) == set(made.parameters)
    for name, spec in made.parameters.items():
        assert spec.link in LINKS
        assert (name in made.unit_parameters) == (spec.link == "logit")
        assert (name in made.vector_parameters) == spec.is_vector
    assert sum(spec.is_scale for spec in made.parameters.values()) <= 1


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_kernels_are_those_that_families_name(family: type[Family]) -> None:
    assert family.row_kernel in {"", *ROW_KERNELS}
    assert set(family.links) <= set(LINK_CODES)
    assert not family.has_laplace or family.row_kernel  # the approximation needs its derivatives
    assert family.limit in {"", *FAMILIES}


def test_every_kernel_has_a_family() -> None:
    assert set(ROW_KERNELS) == {family.row_kernel for family in FAMILIES.values()} - {""}


def test_a_family_derived_from_another_has_its_own_kernel() -> None:
    for name in ("beta_binomial", "zero_inflated_poisson", "hurdle_gamma", "ordbeta", "cratio"):
        assert FAMILIES[name].row_kernel == name


def test_a_corner_leaves_no_laplace_approximation() -> None:
    for family in FAMILIES.values():
        assert not (family.has_corner and family.has_laplace)


def test_effects_integrate_out_of_normal_responses_on_the_identity_link_only() -> None:
    exact = {
        (name, link)
        for name, family in FAMILIES.items()
        for link in family.links
        if family(link=link).is_linear_normal
    }
    assert exact == {("gaussian", "identity")}
    assert FAMILIES["gaussian"]().with_known_se().is_linear_normal
    assert not FAMILIES["gaussian"](link="log").with_known_se().is_linear_normal


def test_the_mean_of_a_lognormal_is_not_its_linear_predictor() -> None:
    assert not FAMILIES["lognormal"]().mean_is_linear
    assert FAMILIES["student_t"]().mean_is_linear
    assert FAMILIES["poisson"](link="identity").mean_is_linear
    assert not FAMILIES["poisson"](link="identity").has_constant_variance


def test_a_negative_binomial_nests_the_poisson_with_its_link() -> None:
    nb, poisson = FAMILIES["negative_binomial"], FAMILIES["poisson"]
    assert nb().nests(poisson())
    assert nb().nests(nb())
    assert not poisson().nests(nb())
    assert not nb().nests(poisson(link="sqrt"))
    assert not FAMILIES["zero_inflated_negative_binomial"]().nests(poisson())


def test_a_negative_binomial_is_at_its_limit_where_alpha_is_beyond_what_data_tell() -> None:
    y = np.array([3.0, 4.0])  # the standard error of 1 / alpha is sqrt(2) / 5
    family = FAMILIES["negative_binomial"]()
    assert not family.is_at_limit(y, {"alpha": 1.0})
    assert family.is_at_limit(y, {"alpha": 1e5})
    assert not FAMILIES["gamma"]().is_at_limit(y, {"alpha": 1e9})
