"""Laws answer alike: draws from a normal law are another maker of the same answers."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bayesmix as bmx
from bayesmix.errors import NotSupportedError
from bayesmix.laws.base import Asked, Law, asks_the_law
from bayesmix.laws.draws import DrawsLaw
from bayesmix.laws.laplace import LaplaceLaw
from bayesmix.laws.normal import NormalLaw
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import rows_of_fit
from bayesmix.results.fit import Fit

FORMULA = "Reaction ~ Days + (Days | Subject)"
S = 4000


@pytest.fixture(scope="module")
def eb() -> bmx.EmpiricalBayes:
    return bmx.Model(FORMULA, bmx.load_dataset("sleepstudy")).fit_eb()


@pytest.fixture(scope="module")
def drawn(eb: bmx.EmpiricalBayes) -> DrawsLaw:
    """The law of draws from the normal law, its variance parameters in each."""
    law = eb._law
    levels = {g.name: np.arange(g.n_levels) for g in eb.model.design.mu.groups}
    found, values = law.draw(levels, S, 1), law.values

    def repeated(value: np.ndarray) -> np.ndarray:
        return np.broadcast_to(value, (1, S, *np.shape(value)))

    return DrawsLaw(
        model=eb.model,
        beta=found.beta.T[None],
        sd={name: repeated(sd) for name, sd in values.sd.items()},
        corr={name: repeated(corr) for name, corr in values.corr.items()},
        b={name: np.moveaxis(b, (0, 1, 2), (2, 1, 0))[None] for name, b in found.b.items()},
        parameters={name: repeated(value) for name, value in values.parameters.items()},
        moments={},
        labels=(np.zeros(1, dtype=int), np.arange(S)),
    )


def close(one: np.ndarray, other: np.ndarray, sd: np.ndarray) -> None:
    """Estimates that agree within five Monte Carlo errors."""
    np.testing.assert_array_less(np.abs(one - other), 5 * sd / np.sqrt(S) + 1e-9)


def test_draws_of_the_normal_law_have_its_tables(eb: bmx.EmpiricalBayes, drawn: DrawsLaw) -> None:
    plain = Asked(diagnostics=False)
    group = eb.model.design.mu.groups[0]
    pairs = [(law.coefficients(plain), law.effects(group, plain, with_fixed=True))
             for law in (eb._law, drawn)]  # fmt: skip
    for exact, sampled in zip(*pairs, strict=True):
        close(sampled["estimate"], exact["estimate"], exact["sd"])
        np.testing.assert_allclose(sampled["sd"], exact["sd"], rtol=0.07)
    labels, exact = eb._law.components(Asked(ci_method="wald"))
    others, sampled = drawn.components(plain)
    assert labels == others
    np.testing.assert_allclose(sampled["sd"], exact["sd"])
    np.testing.assert_allclose(sampled["variance_share"], exact["variance_share"])


def test_and_its_rows_and_averages(eb: bmx.EmpiricalBayes, drawn: DrawsLaw) -> None:
    rows, request = rows_of_fit(eb.model, "response"), PredictionRequest(kind="response")
    exact = eb._law.summaries(rows, request, None, None)
    sampled = drawn.summaries(rows, request, None, 1)
    close(sampled[0], exact[0], exact[1])
    np.testing.assert_allclose(sampled[1], exact[1], rtol=0.08)


def test_linear_combinations_have_the_covariance_of_dense_algebra(
    eb: bmx.EmpiricalBayes, drawn: DrawsLaw
) -> None:
    rows, law, mu = rows_of_fit(eb.model, "linear"), eb._law, eb.model.design.mu
    A = sparse.random(6, rows.n_rows, density=0.3, random_state=1, format="csr")
    found = law.linear(rows, A)
    group = mu.groups[0]
    Z = np.zeros((rows.n_rows, group.n_levels, 2))
    Z[np.arange(rows.n_rows), group.index] = group.Z
    root = law.roots["Subject"]
    both = np.concatenate([mu.X, Z.reshape(rows.n_rows, -1)], axis=1)
    precision = both.T @ both / law.optimum.sigma**2
    precision[2:, 2:] += np.kron(np.eye(group.n_levels), np.linalg.inv(root @ root.T))
    covariance = A @ both @ np.linalg.inv(precision) @ (A @ both).T
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-8)
    np.testing.assert_allclose(found.mean, A @ law.means(rows), rtol=1e-12)
    sampled = drawn.linear(rows, A)
    close(sampled.mean, found.mean, np.sqrt(np.diag(covariance)))
    size = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.abs(sampled.covariance - covariance).max() < 0.1 * size.max()


def test_an_effect_is_a_row_of_its_own(eb: bmx.EmpiricalBayes) -> None:
    rows = replace(
        rows_of_fit(eb.model, "linear"), X=np.zeros((2, 2)), positions=np.arange(2),
        Z={"Subject": np.eye(2)}, index={"Subject": np.array([3, -1])},
        new_levels={"Subject": np.array(["new"], dtype=object)},
    )  # fmt: skip
    found, table = eb._law.linear(rows), eb.group_effects().iloc[6]
    assert found.mean[0] == pytest.approx(table["estimate"])
    assert found.covariance[0, 0] == pytest.approx(table["sd"] ** 2)
    # That of a level that was not seen is the group distribution's.
    assert found.mean[1] == found.covariance[0, 1] == 0
    assert found.covariance[1, 1] == pytest.approx((eb._law.roots["Subject"][1] ** 2).sum())


def test_beyond_the_normal_it_is_the_law_at_the_modes() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame(
        {"y": rng.poisson(2.0, 60), "x": rng.normal(size=60), "g": list("abcdef") * 10}
    )
    eb = bmx.Model("y ~ x + (1 | g)", data, family="poisson").fit_eb()
    found, table = eb._law.linear(rows_of_fit(eb.model, "linear")), eb.predict(kind="linear")
    np.testing.assert_allclose(found.mean, table["estimate"], rtol=1e-10)
    np.testing.assert_allclose(np.diag(found.covariance), table["sd"] ** 2, rtol=1e-8)


@pytest.mark.parametrize("law", [DrawsLaw, NormalLaw, LaplaceLaw])
def test_every_law_answers_all_that_is_asked(law: type[Law]) -> None:
    assert not inspect.isabstract(law)
    assert isinstance(law.given_variances, bool)


def test_an_argument_of_another_law_is_refused_in_words_of_the_own(eb: Any) -> None:
    class Asking:
        _law = eb._law

        @asks_the_law
        def table(self, ci_prob: float = 0.9, point: str = "mean") -> float:
            return ci_prob

    assert Asking().table(0.8) == 0.8
    for call in (lambda: Asking().table(point="median"), lambda: Asking().table(0.8, "mean")):
        with pytest.raises(
            NotSupportedError, match=r"table\(\) of an empirical Bayes fit has no po"
        ):
            call()


def test_each_public_method_of_a_fit_is_defined_once() -> None:
    for kind in (bmx.Posterior, bmx.EmpiricalBayes):
        for name in dir(Fit):
            if not name.startswith("_"):
                where = [cls for cls in kind.__mro__ if name in vars(cls)]
                assert len(where) == 1, (kind, name, where)


def test_no_table_asks_which_engine_made_a_fit() -> None:
    kinds = re.compile(r"hasattr\(fit|isinstance\([a-z_]+, (Posterior|EmpiricalBayes|LaplaceFit)\)")
    folder = Path(inspect.getfile(Fit)).parent
    found = [
        str(path.relative_to(folder))
        for subject in ("tabular", "predict", "effect", "pictures", "files")
        for path in (folder / subject).glob("*.py")
        if kinds.search(path.read_text())
    ]
    assert not found
