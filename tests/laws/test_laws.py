"""Laws answer alike: draws from a normal law are another maker of the same answers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
