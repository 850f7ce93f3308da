"""A changed model keeps what was not named."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import DataError, DataWarning, NotSupportedError, PriorError

WIDE = bmx.Prior("HalfNormal", sigma=7)


def test_what_is_not_named_stays(data: pd.DataFrame) -> None:
    data = data.assign(count=np.arange(len(data)) % 7)
    model = bmx.Model(
        "count ~ x + (1 | g)",
        data,
        family=bmx.families.NegativeBinomial(),
        priors={"sd(g)": WIDE, "x": bmx.Prior("Normal", mu=0, sigma=3)},
        parametrization="centered",
    )
    new = model.update(". ~ . + z - (1 | g) + (z | g)", priors={"x": None})
    assert new.formula.text == "count ~ x + z + (z | g)"
    assert new.family == model.family
    assert new.parametrization == "centered"
    in_force = new.priors.set_index("parameter")
    assert in_force.loc["sd(g, z)", "prior"] == str(WIDE)
    assert in_force.loc["x", "origin"] == "default"
    assert model.priors.set_index("parameter").loc["x", "origin"] == "user"
    assert str(model.update(family="poisson").family).startswith("poisson")


def test_a_prior_that_lost_its_parameter_says_how_to_let_it_go(data: pd.DataFrame) -> None:
    model = bmx.Model("y ~ x + z + (1 | g)", data, priors={"z": bmx.Prior("Normal", mu=0, sigma=1)})
    with pytest.raises(PriorError, match=r"kept from the old model: z; priors=\{\"name\": None\}"):
        model.update(". ~ . - z")
    assert model.update(". ~ . - z", priors={"z": None}).design.mu.fixed_effects == (
        "Intercept",
        "x",
    )


def test_new_data_need_new_weights_unless_these_are_a_column(data: pd.DataFrame) -> None:
    data = data.assign(w=np.arange(1.0, len(data) + 1))
    by_name = bmx.Model("y ~ x + (1 | g)", data, weights="w")
    half = data.iloc[: len(data) // 2]
    np.testing.assert_array_equal(by_name.update(data=half).design.weights, half["w"])
    by_value = bmx.Model("y ~ x + (1 | g)", data, weights=data["w"].to_numpy())
    np.testing.assert_array_equal(by_value.update(". ~ . + z").design.weights, data["w"])
    with pytest.raises(DataError, match="weights= was an array"):
        by_value.update(data=half)
    again = by_value.update(data=half, weights=half["w"].to_numpy())
    np.testing.assert_array_equal(again.design.weights, half["w"])


def refit_table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 96
    data = pd.DataFrame(
        {"x": rng.uniform(0, 10, n), "g": np.arange(n) % 12, "y": rng.normal(size=n)}
    )
    data["f"] = np.asarray(list("abc"))[np.arange(n) // 12 % 3]
    data["grade"] = pd.Categorical.from_codes(rng.integers(0, 3, n), list("lmh"), ordered=True)
    return data


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("scale(y) ~ bs(x, df=5) + f + (1 | g)", "gaussian"),
        ("y ~ poly(x, 2) * f + offset(center(x)) + (center(x) | g)", "gaussian"),
        ("y ~ C(f, contr.sum) + (0 + f | g)", "gaussian"),
        ("grade ~ center(x) + f + (1 | g)", "cumulative"),
    ],
)
def test_new_rows_meet_the_model_as_it_is(formula: str, family: str) -> None:
    data = refit_table()
    model = bmx.Model(formula, data, family=family)
    rows = data["x"].between(2, 8).to_numpy()
    again = model.update(data=data[rows].assign(g=data["g"] + 6))
    np.testing.assert_allclose(again.design.mu.X, model.design.mu.X[rows], atol=1e-12)
    np.testing.assert_allclose(again.y, model.y[rows], atol=1e-12)
    if model.design.mu.offset is not None:
        np.testing.assert_allclose(again.design.mu.offset, model.design.mu.offset[rows], atol=1e-12)
    for old, group in zip(model.design.mu.groups, again.design.mu.groups, strict=True):
        np.testing.assert_allclose(group.Z, old.Z[rows], atol=1e-12)
        assert "17" in group.levels.labels
    pd.testing.assert_frame_equal(again.priors, model.priors)
    np.testing.assert_allclose(again.design.mu.means, model.design.mu.means)
    twice = again.update(data=data)
    np.testing.assert_allclose(twice.design.mu.X, model.design.mu.X, atol=1e-12)


def test_categories_and_levels_without_a_row_stay() -> None:
    data = refit_table()
    model = bmx.Model("grade ~ x + f", data, family="cumulative")
    with pytest.warns(DataWarning, match=r"left out .* f\[T.b\]"):
        again = model.update(data=data[(data["grade"] != "l") & (data["f"] != "b")])
    assert again.family.categories(again.design.response) == ("l", "m", "h")
    assert set(again.y) == {2.0, 3.0}
    assert again.design.mu.all_fixed_columns == ("x", "f[T.b]", "f[T.c]")
    known = model.priors.set_index("parameter")["prior"]
    assert (again.priors.set_index("parameter")["prior"] == known.drop("f[T.b]")).all()
    with pytest.raises(NotSupportedError, match="no row has the category 'l'"):
        again.complete_pooling()


def test_data_that_do_not_fit_are_refused_or_teach_anew() -> None:
    data = refit_table()
    model = bmx.Model("y ~ bs(x, df=5) + f", data)
    for wrong, message in (
        (data.assign(x=data["x"] + 3), "beyond the range"),
        (data.assign(f=data["f"] + "2"), "has the level 'a2', which the model has not seen"),
    ):
        with pytest.raises(DataError, match=rf"{message}.*update\(\". ~ .\", data"):
            model.update(data=wrong)
        anew = model.update(". ~ .", data=wrong)
        pd.testing.assert_frame_equal(anew.priors, bmx.Model("y ~ bs(x, df=5) + f", wrong).priors)
    with pytest.raises(NotSupportedError, match="learned_from= is a model y ~ bs"):
        bmx.Model("y ~ x", data, learned_from=model)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")
def test_fits_are_repeated_with_their_options(
    data: pd.DataFrame, capfd: pytest.CaptureFixture[str]
) -> None:
    data = data.assign(count=np.arange(len(data)) % 7)
    post = bmx.Model("y ~ x + (1 | g)", data).fit(
        draws=60, tune=50, chains=2, seed=3, progress=False
    )
    changed = post.update(". ~ . - x")
    assert capfd.readouterr().err == ""
    sizes = changed.idata["posterior"].sizes
    assert (sizes["chain"], sizes["draw"]) == (2, 60)
    assert changed.idata.attrs["seed"] == 3
    assert json.loads(changed.idata.attrs["fit_options"])["tune"] == 50
    assert changed.model.design.mu.fixed_effects == ("Intercept",)
    same = post.update(progress=False)
    np.testing.assert_array_equal(
        same.idata["posterior"]["sigma"], post.idata["posterior"]["sigma"]
    )
    assert post.update(draws=40, progress=False).idata["posterior"].sizes["draw"] == 40
    eb = post.model.fit_eb("ml").update(". ~ . + z")
    assert eb.method == "ml"
    assert list(eb.fixed_effects()["term"]) == ["Intercept", "x", "z"]
    assert eb.update("count ~ x + (1 | g)", family="poisson").method == "ml"
    quadrature = bmx.Model("count ~ x + (1 | g)", data, family="poisson").fit_eb(n_quadrature=5)
    assert quadrature.update(". ~ . - x").n_quadrature == 5
