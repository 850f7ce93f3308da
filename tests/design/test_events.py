"""event(time, status) has the meaning of R's Surv: 1 is an event, 0 is right-censored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import bayesmix as bmx
from bayesmix.errors import DataError, FormulaError
from bayesmix.families.functions import NUMPY
from bayesmix.families.observation import observation_log_prob
from bayesmix.formula.update import updated_formula
from tests.builders import fake_posterior


@pytest.fixture(scope="module")
def lifetimes() -> pd.DataFrame:
    """Exponential times with mean 5, of which those beyond a censoring time are cut off."""
    rng = np.random.default_rng(5)
    time, end = rng.exponential(5.0, size=300), rng.uniform(1.0, 15.0, size=300)
    seen = time <= end
    return pd.DataFrame(
        {
            "t": np.minimum(time, end),
            "d": seen.astype(int),
            "word": np.where(seen, "died", "alive"),
            "x": rng.normal(size=300),
            "g": np.arange(300) % 20,
        }
    )


WAYS = ["d", "seen", "code == 2", 'word == "died"', "~lost", "1 - lost"]


@pytest.mark.parametrize("status", WAYS)
def test_every_way_to_say_it_is_censored_with_the_other_sign(
    lifetimes: pd.DataFrame, status: str
) -> None:
    seen = lifetimes["d"] == 1
    data = lifetimes.assign(seen=seen, lost=~seen, code=lifetimes["d"] + 1)
    model = bmx.Model(f"event(t, {status}) ~ x + (1 | g)", data, family="exponential")
    np.testing.assert_array_equal(model.rows["status"], 1.0 - lifetimes["d"])
    other = bmx.Model("censored(t, 1 - d) ~ x + (1 | g)", data, family="exponential")
    np.testing.assert_array_equal(other.rows["status"], model.rows["status"])
    assert repr(model).count(f"{int((~seen).sum())} right-censored") == 1
    assert model.equation() == other.equation()


def test_the_mean_of_censored_times_is_that_of_time_at_risk_per_event(
    lifetimes: pd.DataFrame,
) -> None:
    model = bmx.Model("event(t, d) ~ 1", lifetimes, family="exponential")

    def minus_loglik(eta: float) -> float:
        density = observation_log_prob(
            model.family, NUMPY, model.y, np.full(300, eta), {}, model.rows
        )
        return -float(density.sum())

    best = optimize.minimize_scalar(minus_loglik, bounds=(-3, 5), method="bounded")
    right = lifetimes["t"].sum() / lifetimes["d"].sum()
    assert np.exp(best.x) == pytest.approx(right, rel=1e-3)
    assert right == pytest.approx(5.0, rel=0.15)


def test_updates_and_truncation_keep_it(lifetimes: pd.DataFrame) -> None:
    model = bmx.Model("truncated(event(t, d), 0.0) ~ x", lifetimes, family="weibull")
    assert set(model.rows) == {"status", "lower"}
    text = updated_formula("event(t, d) ~ x", ". ~ . + (1 | g)")
    assert text == "event(t, d) ~ x + (1 | g)"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("d + 1", r"is 2.0 in row \d+: .*where 2 is an event.*write event\(time, d \+ 1 == 2\)"),
        ("2 * d", "1 \\(or True\\) where an event was seen"),
        ("word", r'is .(died|alive). in row 0.*event\(time, word == "..."\)'),
    ],
)
def test_other_codings_are_refused_with_what_to_write(
    lifetimes: pd.DataFrame, status: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        bmx.Model(f"event(t, {status}) ~ x", lifetimes, family="weibull")


def test_a_family_without_censoring_refuses_it(lifetimes: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match=r"event\(time, status\) does not go with the bernoulli"):
        bmx.Model("event(d, d) ~ x", lifetimes, family="bernoulli")


def test_files_and_updates_keep_it(lifetimes: pd.DataFrame, tmp_path: Path) -> None:
    model = bmx.Model("event(np.log(t), d) ~ x + (1 | g)", lifetimes)
    post = fake_posterior(model, np.random.default_rng(1))
    loaded = bmx.load(post.save(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(loaded.model.rows["status"], 1.0 - lifetimes["d"])
    assert loaded.model.formula.text == model.formula.text
    new = lifetimes.head(3)[["x", "g"]]
    np.testing.assert_allclose(loaded.predict(new), post.predict(new))
