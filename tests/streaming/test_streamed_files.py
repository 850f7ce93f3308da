"""A fit to data in batches is saved with sums and labels, and comes back without its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bmx
from bayesmix.errors import FileError, FormulaError, NotSupportedError
from bayesmix.results.files.storage import MODEL_GROUP, read_tree, write_tree

from .batches import Batches, rows_to_read

pytest.importorskip("pyarrow.dataset")
pytestmark = pytest.mark.filterwarnings("ignore::bayesmix.errors.ConvergenceWarning")

CASES = [
    ("y ~ x + (x | g)", {}),
    ("y ~ scale(np.abs(center(x))) + poly(e, 3) + t + (1 | school / g)", {}),
    ("y ~ x * t + offset(e) + C(h) + (1 | g) + (0 + z | t)", {"weights": "w"}),
    ("np.log(y) ~ 0 + x + rare + (0 + z | t:h)", {"known_se": "w"}),
]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return rows_to_read()


@pytest.mark.parametrize(("formula", "given"), CASES)
def test_a_loaded_fit_answers_what_the_fit_did(
    data: pd.DataFrame, tmp_path: Path, formula: str, given: dict[str, str]
) -> None:
    eb = bmx.Model(formula, Batches(data), **given).fit_eb()
    found = bmx.load(eb.save(tmp_path / "a.nc"))
    assert found.loglik == eb.loglik
    assert found.model.formula.text == eb.model.formula.text
    new = data.iloc[::97].assign(g=data["g"].iloc[::97].replace(3, 99))
    for ask in (
        lambda fit: fit.fixed_effects(), lambda fit: fit.variance_components(),
        lambda fit: fit.group_effects(fit.model.design.mu.groups[0].name),
        lambda fit: fit.predict(new), lambda fit: fit.model.priors, lambda fit: fit.vcov(),
    ):  # fmt: skip
        pd.testing.assert_frame_equal(ask(found), ask(eb), rtol=1e-10)


def test_a_posterior_of_sums_comes_back(data: pd.DataFrame, tmp_path: Path) -> None:
    model = bmx.Model("y ~ x + t + (1 | g)", Batches(data))
    post = model.fit(50, tune=50, chains=1, seed=1, progress=False)
    found = bmx.load(post.save(tmp_path / "a.zarr"))
    pd.testing.assert_frame_equal(found.fixed_effects(), post.fixed_effects())
    pd.testing.assert_frame_equal(found.predict(data.iloc[:9]), post.predict(data.iloc[:9]))
    with pytest.raises(NotSupportedError, match="needs the rows of the data"):
        found.fitted()
    again = bmx.load(found.save(tmp_path / "b.nc"))  # a second time
    pd.testing.assert_frame_equal(again.fixed_effects(), post.fixed_effects())


def test_no_number_of_a_row_is_in_the_file(data: pd.DataFrame, tmp_path: Path) -> None:
    path = bmx.Model("y ~ x + t + (x | g)", Batches(data)).fit_eb().save(tmp_path / "a.nc")
    ends = {data[name].min() for name in "xy"} | {data[name].max() for name in "xy"}
    secret = np.asarray([v for name in "xy" for v in data[name] if v not in ends])
    for variable in read_tree(path)[MODEL_GROUP].data_vars.values():
        assert not np.isin(variable.to_numpy(), secret).any()


def test_a_loaded_fit_of_sums_changes_its_priors_and_asks_for_rows_else(
    data: pd.DataFrame, tmp_path: Path
) -> None:
    eb = bmx.Model("y ~ x + (1 | g)", Batches(data)).fit_eb()
    model: Any = bmx.load(eb.save(tmp_path / "a.nc")).model
    tight = {"sd(g)": bmx.Prior("HalfNormal", sigma=0.1)}
    found = model.update(priors=tight).fit_eb("map").variance_components()
    expected = eb.model.update(priors=tight).fit_eb("map").variance_components()
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6)
    with pytest.raises(NotSupportedError, match=r"the batches the file has sums.*data="):
        model.update(". ~ . - x")
    with pytest.raises(FormulaError, match=r"no column `z`(.|\n)*give data="):
        model.update(". ~ . + z")
    other = model.update(". ~ . + z", data=data).fit_eb()
    assert "z" in other.fixed_effects()["term"].tolist()


@pytest.mark.parametrize("name", ["sum_X_products", "products", "sum_met_1", "sum_plain_R"])
def test_sums_that_are_not_of_the_model_are_refused(
    data: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    path = bmx.Model("y ~ x + (1 | g) + (1 | h)", Batches(data)).fit_eb().save(tmp_path / "a.nc")
    tree = read_tree(path)
    held = tree[MODEL_GROUP].to_dataset()
    shorter = (["shorter"], held[name].to_numpy()[1:])
    groups = {"/": xr.Dataset(attrs=tree.attrs), MODEL_GROUP: held.assign({name: shorter})}
    tree = xr.DataTree.from_dict(groups)
    with pytest.raises(FileError):
        bmx.load(write_tree(tree, tmp_path / "b.nc"))


def test_what_sums_alone_cannot_build_is_refused_when_it_is_saved(
    data: pd.DataFrame, tmp_path: Path
) -> None:
    odd = data.assign(k=np.where(data["x"] > 50, 4.0, -5.0))
    eb = bmx.Model("y ~ np.log(I(k ** 2) - 15) + z + (1 | g)", Batches(odd)).fit_eb()
    with pytest.raises(FileError, match="cannot be built from sums alone"):
        eb.save(tmp_path / "b.nc")
