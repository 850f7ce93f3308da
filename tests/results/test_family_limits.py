"""Families whose own parameter adds nothing to a simpler one: said, and the rest is as there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special

import bayesmix as bmx


def little_spread() -> pd.DataFrame:
    """Counts, successes and real numbers that vary less than a simple family has it."""
    rng = np.random.default_rng(71)
    g, x = np.arange(240) % 20, rng.normal(size=240).round(3)
    u = rng.normal(scale=0.4, size=20)[g]
    mean, trials = np.exp(0.9 + 0.2 * x + u), rng.integers(3, 10, 240)
    n = np.ceil(2 * mean) + 1
    return pd.DataFrame(
        {
            "x": x,
            "g": g.astype(str),
            "count": rng.binomial(n.astype(int), np.minimum(0.95, mean / n)),
            "trials": trials,
            "k": np.round(trials * special.expit(0.4 * x)).astype(int),
            "y": 1 + 0.5 * x + u + rng.uniform(-1.7, 1.7, 240),
        }
    )


CASES = [
    ("negative_binomial", "poisson", "count", "there is no overdispersion", {"alpha": np.inf}),
    ("negative_binomial1", "poisson", "count", "there is no overdispersion", {"alpha": 0}),
    ("generalized_poisson", "poisson", "count", "there is no overdispersion", {"delta": 0}),
    ("zero_inflated_poisson", "poisson", "count", "there are no extra zeros", {"zi": 0}),
    (
        "zero_inflated_negative_binomial", "poisson", "count",
        "there are no extra zeros and no overdispersion", {"alpha": np.inf, "zi": 0},
    ),
    ("beta_binomial", "binomial", "proportion(k, trials)", "no overdispersion", {"phi": np.inf}),
    ("zero_inflated_binomial", "binomial", "proportion(k, trials)", "no extra zeros", {"zi": 0}),
    ("student", "gaussian", "y", "the tails are no heavier than a normal's", {"nu": np.inf}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "simpler", "response", "words", "edges"), CASES, ids=[case[0] for case in CASES]
)
@pytest.mark.filterwarnings("error")
def test_a_parameter_that_adds_nothing_is_said_and_leaves_the_rest_alone(
    family: str, simpler: str, response: str, words: str, edges: dict[str, float]
) -> None:
    data = little_spread()
    formula = f"{response} ~ x + (1 | g)"
    fit = bmx.Model(formula, data, family=family).fit_eb()
    wanted = bmx.Model(formula, data, family=simpler).fit_eb("ml")
    assert fit.converged
    assert f'{words}: family="{simpler}" fits as well' in fit.singular
    np.testing.assert_allclose(fit.loglik, wanted.loglik, rtol=1e-8)
    found, table = fit.fixed_effects(), wanted.fixed_effects()
    np.testing.assert_allclose(found["estimate"], table["estimate"], atol=1e-4 * table["sd"].min())
    # A normal response has standard errors given its variances, the others jointly with them.
    np.testing.assert_allclose(
        found["sd"], table["sd"], rtol=0.02 if simpler == "gaussian" else 1e-3
    )
    np.testing.assert_allclose(
        fit.variance_components()["sd"][0], wanted.variance_components()["sd"][0], atol=1e-4
    )
    own = fit.family_parameters().set_index("parameter")
    for name, edge in edges.items():
        near, far = ("lower", "upper") if edge == 0 else ("upper", "lower")
        assert own.loc[name, near] == edge
        assert 1e-4 < own.loc[name, far] < 1e4
    assert "fits as well" in " ".join(str(fit.summary()).split())


def test_limits_of_parameters_that_ran_away_are_those_of_the_likelihood() -> None:
    """The sd of groups is zero there, so that the profile is one of a plain regression."""
    data = little_spread()
    y, n = data["k"].to_numpy(), data["trials"].to_numpy()
    X = np.column_stack([np.ones(len(y)), data["x"]])
    choose = -np.log1p(n) - special.betaln(n - y + 1, y + 1)

    def beta_binomial(beta: np.ndarray, log_phi: float) -> float:
        mu, phi = special.expit(X @ beta), np.exp(log_phi)
        a, b = mu * phi, (1 - mu) * phi
        return -(choose + special.betaln(y + a, n - y + b) - special.betaln(a, b)).sum()

    def inflated(beta: np.ndarray, logit_zi: float) -> float:
        mu, zi = special.expit(X @ beta), special.expit(logit_zi)
        plain = choose + special.xlogy(y, mu) + special.xlog1py(n - y, -mu)
        return -np.where(
            y == 0, np.logaddexp(np.log(zi), np.log1p(-zi) + plain), np.log1p(-zi) + plain
        ).sum()

    def plain(beta: np.ndarray, _: float) -> float:
        mu = special.expit(X @ beta)
        return -(choose + special.xlogy(y, mu) + special.xlog1py(n - y, -mu)).sum()

    def height(minus: Callable[[np.ndarray, float], float], value: float) -> float:
        found = optimize.minimize(
            minus, [0.0, 0.4], (value,), "Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11}
        )
        return float(found.fun)

    threshold = height(plain, 0.0) + 0.5 * special.chdtri(1, 0.05)
    formula = "proportion(k, trials) ~ x + (1 | g)"
    for family, minus, sign, column in (
        ("beta_binomial", beta_binomial, 1, "lower"),
        ("zero_inflated_binomial", inflated, -1, "upper"),
    ):
        own = bmx.Model(formula, data, family=family).fit_eb().family_parameters()
        value = optimize.brentq(
            lambda v, minus=minus: height(minus, v) - threshold, sign * 9.0, sign * 2.0
        )
        right = np.exp(value) if sign > 0 else special.expit(value)
        np.testing.assert_allclose(own[column][0], right, rtol=1e-3)


def test_what_data_do_not_rule_out_is_not_called_a_limit() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"n": rng.negative_binomial(3, 0.4, 300), "y": rng.standard_t(3, 300)})
    data["z"] = np.where(rng.random(300) < 0.3, 0, data["n"])
    for response, family in (
        ("n", "negative_binomial"), ("n", "negative_binomial1"), ("n", "generalized_poisson"),
        ("z", "zero_inflated_poisson"), ("y", "student"),
    ):  # fmt: skip
        assert bmx.Model(f"{response} ~ 1", data, family=family).fit_eb().singular == ""
