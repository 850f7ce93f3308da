"""A loaded fit is the fit that was saved, and a hostile file is an error that ran nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bmx
from bayesmix.errors import DataWarning, FileError, FormulaError
from bayesmix.results.files import netcdf_check
from tests.builders import fake_posterior, non_normal


@pytest.fixture(autouse=True)
def without_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check files in this process, in milliseconds; test_hostile_files has the child."""
    monkeypatch.setattr(netcdf_check, "_start", lambda *_: None)


def double(values: Any) -> Any:
    return 2 * values


def case(name: str, data: pd.DataFrame) -> bmx.Model:
    data = data.assign(
        w=np.arange(1.0, len(data) + 1),
        cut=pd.cut(data["x"], [-100, 2, 4, 100]),
        day=pd.date_range("2024-01-01", periods=len(data)),
        rank=pd.Categorical(data["f"], ["low", "mid", "high"], ordered=True),
    )
    data.loc[data.index[5], "x"] = np.nan if name == "missing" else 1.0
    texts = {
        "many terms": "y ~ x * f + center(z) + offset(u) + (x | g) + (1 | h/ward) + (0 + z | g)",
        "intervals": "y ~ cut + C(rank) + (1 | g)",
        "text index": "y ~ bs(x, df=4) + (1 | flag)",
        "date index": "y ~ x + (x || h)",
        "missing": "y ~ x + (1 | g)",
        "functions": "double(y) ~ double(x) + (1 | g)",
        "no groups": "y ~ x",
        "no fixed": "y ~ 0 + (1 | g)",
    }
    options: dict[str, Any] = {}
    if name == "text index":
        data.index = pd.Index([f"row {i}" for i in range(len(data))])
    if name == "date index":
        data = data.set_index("day")
    if name == "functions":
        options["functions"] = {"double": double}
    if name == "weights":
        options["weights"] = "w"
    if name == "array":
        options["known_se"] = data["w"].to_numpy()
    if name == "many terms":
        options["priors"] = {
            "sd(g, x)": bmx.Prior("HalfNormal", sigma=3),
            "corr": bmx.Prior("LKJ", eta=4),
        }
    return bmx.Model(texts.get(name, "y ~ x + (1 | g)"), data, **options)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("many terms", "nc"),
        ("many terms", "zarr"),
        ("intervals", "zarr"),
        ("text index", "zarr"),
        ("intervals", "nc"),
        ("text index", "nc"),
        ("date index", "nc"),
        ("missing", "nc"),
        ("functions", "nc"),
        ("weights", "nc"),
        ("array", "nc"),
        ("no groups", "nc"),
        ("no fixed", "nc"),
    ],
)
@pytest.mark.filterwarnings("ignore::bayesmix.errors.DataWarning")
def test_posteriors_come_back_as_they_were(
    name: str, ending: str, data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    post = fake_posterior(case(name, data), rng)
    path = post.save(tmp_path / f"fit.{ending}")
    functions = {"double": double} if name == "functions" else None
    again = bmx.load(path, functions=functions)
    assert repr(again) == repr(post)
    assert isinstance(again, bmx.Posterior)
    assert set(again.idata.children) == set(post.idata.children)
    for group in post.idata.children:
        theirs, ours = again.idata[group].to_dataset(), post.idata[group].to_dataset()
        xr.testing.assert_identical(theirs.drop_attrs(), ours.drop_attrs())
    pd.testing.assert_frame_equal(again.model.priors, post.model.priors)
    pd.testing.assert_index_equal(again.model.design.row_labels, post.model.design.row_labels)
    pd.testing.assert_frame_equal(again.predict(), post.predict())
    new = data.iloc[:3].assign(cut=post.model.design.frame.get("cut"), rank=data["f"])
    new["rank"] = pd.Categorical(new["rank"], ["low", "mid", "high"], ordered=True)
    if name == "weights":
        new["w"] = 2.0
    pd.testing.assert_frame_equal(again.predict(new), post.predict(new))
    twice = bmx.load(again.save(tmp_path / f"twice.{ending}"), functions=functions)
    assert repr(twice) == repr(post)


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("bernoulli", "won ~ x + (1 | g)"),
        ("binomial", "proportion(count, n) ~ x + (1 | g)"),
        ("cumulative", "size ~ x + (1 | g)"),
        ("zero_inflated_poisson", "count ~ x + (1 | g)"),
        ("gaussian", "censored(y, flag) ~ x + (1 | g)"),
    ],
)
def test_every_family_comes_back(
    family: str, text: str, data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    post = non_normal(family, text, data, rng)
    again = bmx.load(post.save(tmp_path / "fit.nc"))
    assert again.model.family == post.model.family
    pd.testing.assert_frame_equal(again.predict(kind="response"), post.predict(kind="response"))


def test_a_refit_s_columns_come_back(
    data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    whole = bmx.Model("y ~ bs(x, df=4) + scale(z) + f + (1 | g)", data)
    some = data[(data["x"] > data["x"].quantile(0.2)) & (data["x"] < data["x"].quantile(0.8))]
    post = fake_posterior(whole.update(data=some), rng)
    post.save(tmp_path / "some.nc")
    again = bmx.load(tmp_path / "some.nc")
    np.testing.assert_array_equal(again.model.design.mu.X, post.model.design.mu.X)
    np.testing.assert_allclose(again.model.design.mu.means, whole.design.mu.means)
    pd.testing.assert_frame_equal(again.model.priors, whole.priors)
    pd.testing.assert_frame_equal(again.predict(data), post.predict(data))
    again.save(tmp_path / "twice.nc")
    np.testing.assert_array_equal(
        bmx.load(tmp_path / "twice.nc").model.design.mu.X, post.model.design.mu.X
    )


def test_moments_and_added_groups_come_back(data: pd.DataFrame, tmp_path: Path) -> None:
    post = bmx.Model("y ~ x + (1 | g)", data).fit(
        seed=1, progress=False, group_draws="moments", draws=500
    )
    post.log_likelihood()
    again = bmx.load(post.save(tmp_path / "fit.nc"))
    pd.testing.assert_frame_equal(again.group_effects(), post.group_effects())
    pd.testing.assert_frame_equal(again.predict(), post.predict())
    assert "log_likelihood" in again.idata.children
    assert again.update(". ~ . - x", progress=False).model.formula.text == "y ~ (1 | g)"
    with pytest.raises(FormulaError, match=r"no column `z`.*the columns that it used; give data="):
        again.update(". ~ . + z")
    assert again.model.update(". ~ . + z", data).design.mu.fixed_effects == ("Intercept", "x", "z")


def test_an_update_says_which_rows_a_file_does_not_have(data: pd.DataFrame, tmp_path: Path) -> None:
    holes = data.assign(z=data["z"].where(np.arange(len(data)) > 3))
    with pytest.warns(DataWarning, match="4 of"):
        eb = bmx.Model("y ~ x + z + (1 | g)", holes).fit_eb()
    again = bmx.load(eb.save(tmp_path / "fit.nc"))
    with pytest.warns(DataWarning, match=rf"of {len(data)} rows the {len(data) - 4} .*without `z`"):
        assert again.update(". ~ . - z").model.design.n_obs == len(data) - 4
    whole = again.update(". ~ . - z", holes)
    assert whole.model.design.n_obs == eb.update(". ~ . - z").model.design.n_obs == len(data)
    again.update(". ~ . + I(z**2)")  # every column stays: nothing to say


def test_estimates_are_made_again(data: pd.DataFrame, tmp_path: Path) -> None:
    for eb in (
        bmx.Model("y ~ x + (x | g)", data).fit_eb("ml"),
        bmx.Model("flag ~ x + (1 | h)", data, family="bernoulli").fit_eb(n_quadrature=3),
    ):
        again = bmx.load(eb.save(tmp_path / "fit.nc"))
        assert type(again) is type(eb)
        assert again.loglik == eb.loglik
        pd.testing.assert_frame_equal(again.fixed_effects(), eb.fixed_effects())
    with h5py.File(tmp_path / "fit.nc", "a") as file:
        file.attrs["loglik"] = 0.0
    with pytest.warns(DataWarning, match=r"log-likelihood was 0\.000"):
        bmx.load(tmp_path / "fit.nc")


def test_saving_replaces_results_and_nothing_else(
    data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    for ending in ("nc", "zarr"):
        path = tmp_path / f"fit.{ending}"
        post.save(path)
        post.save(str(path))
        assert repr(bmx.load(path)) == repr(post)
    own = tmp_path / "thesis.zarr"
    own.mkdir()
    (own / "chapter.txt").write_text("years of work")
    with pytest.raises(FileError, match="did not write"):
        post.save(own)
    assert (own / "chapter.txt").read_text() == "years of work"
    with pytest.raises(FileError, match=r"must end in \.nc"):
        post.save(tmp_path / "fit.pkl")
    with pytest.raises(FileError, match="no folder"):
        post.save(tmp_path / "nowhere" / "fit.nc")
    with pytest.raises(FileError, match="no file"):
        bmx.load(tmp_path / "nothing.nc")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fit.nc", "fit.zarr", "thesis.zarr"]


@pytest.fixture
def saved(data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path) -> Path:
    post = fake_posterior(bmx.Model("y ~ x + f + (x | g)", data), rng)
    return post.save(tmp_path / "fit.nc")


def change(path: Path, **entries: Any) -> None:
    """Change the JSON text in a file."""
    with h5py.File(path, "a") as file:
        group = file["bayesmix_model"]
        described = json.loads(group.attrs["specification"])
        group.attrs["specification"] = json.dumps(described | entries)


@pytest.mark.parametrize(
    "entries",
    [
        {"formula": "y ~ __import__('os').system('touch ran') + (1 | g)"},
        {"formula": "y ~ (lambda: open('ran', 'w'))() + (1 | g)"},
        {"formula": "y ~ x.__class__ + (1 | g)"},
        {"formula": "z ~ x + (1 | g)"},
        {"formula": "y ~ x + f + z + (x | g)"},
        {"formula": 7},
        {"family": "os.system"},
        {"link": "logit"},
        {"user_priors": {"sigma": ["eval", {"code": 1}]}},
        {"user_priors": {"sigma": ["sampling", {}]}},
        {"user_priors": [1, 2]},
        {"priors": {}},
        {"columns": [{"name": "y", "kind": "values", "at": "nowhere"}]},
        {"columns": "x" * 100},
        {"functions": ["double"]},
        {"format": 99},
        {"format": None},
        {"row_labels": {"kind": "range", "range": [0, 3, 1]}},
        {"parametrization": "eval"},
    ],
)
def test_hostile_descriptions_end_in_an_error(
    entries: dict[str, Any], saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    change(saved, **entries)
    with pytest.raises(FileError, match=r"fit\.nc"):
        bmx.load(saved)
    assert not (tmp_path / "ran").exists()


def test_damaged_files_end_in_an_error(saved: Path, data: pd.DataFrame) -> None:
    whole = saved.read_bytes()
    for content in (b"", b"not a file of any kind", whole[: len(whole) // 2], whole[:-2000]):
        saved.write_bytes(content)
        with pytest.raises(FileError):
            bmx.load(saved)
    saved.write_bytes(whole)
    with h5py.File(saved, "a") as file:
        file["bayesmix_model"].attrs["specification"] = "[" * 100_000
    with pytest.raises(FileError):
        bmx.load(saved)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", "many"), ("seed", np.nan), ("prior_only", "no"), ("interrupted", -1),
     ("seconds", "long"), ("fit_options", "[]"), ("seed", None)],
)  # fmt: skip
def test_what_is_said_of_the_run_is_checked(name: str, value: Any, saved: Path) -> None:
    with h5py.File(saved, "a") as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value
    with pytest.raises(FileError, match=name):
        bmx.load(saved)


@pytest.mark.parametrize("name", ["beta", "sd_g", "corr_g", "b_g", "sigma"])
def test_draws_that_do_not_fit_the_model_end_in_an_error(name: str, saved: Path) -> None:
    whole = saved.read_bytes()
    with h5py.File(saved, "a") as file:
        file["posterior"][name][0, 0] = np.nan
        del file["bayesmix_model"].attrs["checksums"]
    with pytest.raises(FileError, match=f"draws of {name} are not all finite"):
        bmx.load(saved)
    saved.write_bytes(whole)
    with h5py.File(saved, "a") as file:
        del file["posterior"][name]
    with pytest.raises(FileError, match=f"no draws of {name}"):
        bmx.load(saved)


def test_arrays_that_no_file_can_hold_are_not_made(saved: Path) -> None:
    with h5py.File(saved, "a") as file:
        large = file.create_dataset(
            "posterior/large", shape=(10**9, 10**4), dtype="f8", chunks=(1000, 1000)
        )
        large.dims[0].label = "a"
    with pytest.raises(FileError, match=r"large' is stored in chunks"):
        bmx.load(saved)


def test_a_zarr_folder_cannot_ask_for_a_decoder_that_runs_code(
    data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    path = post.save(tmp_path / "fit.zarr")
    described = path / "posterior" / "beta" / "zarr.json"
    content = json.loads(described.read_text())
    content["codecs"] = [{"name": "numcodecs.pickle", "configuration": {}}]
    described.write_text(json.dumps(content))
    with pytest.raises(FileError, match=r"decoder 'numcodecs\.pickle'"):
        bmx.load(path)
    post.save(path)
    (path / "posterior" / "extra").mkdir()
    (path / "posterior" / "extra" / ".zarray").write_text("{}")
    with pytest.raises(FileError, match="format 2"):
        bmx.load(path)


def test_functions_that_the_formula_does_not_call_are_not_asked_for(
    data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    functions = {"g": np.abs, "og": np.abs, "double": double}
    model = bmx.Model("y ~ log(double(z) + 90) + (1 | g)", data, functions=functions)
    path = fake_posterior(model, rng).save(tmp_path / "fit.nc")
    with pytest.raises(FileError, match="calls double, and"):
        bmx.load(path)
    assert bmx.load(path, functions={"double": double}).model.formula == model.formula


def test_places_that_are_none_are_named(data: pd.DataFrame, rng: np.random.Generator) -> None:
    fit = fake_posterior(bmx.Model("y ~ x + (1 | g)", data), rng)
    for place in (3, None):
        with pytest.raises(FileError, match="is no"):
            bmx.load(place)  # type: ignore[arg-type]
        with pytest.raises(FileError, match="is no"):
            fit.save(place)  # type: ignore[arg-type]
    if Path("/proc/self").is_dir():
        with pytest.raises(FileError, match="cannot be written"):
            fit.save("/proc/x.nc")


def test_functions_of_ones_own_are_asked_for_and_checked(
    data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    path = fake_posterior(case("functions", data), rng).save(tmp_path / "fit.nc")
    with pytest.raises(FileError, match=r"calls double.*functions="):
        bmx.load(path)
    with pytest.raises(FileError, match="does not make"):
        bmx.load(path, functions={"double": lambda values: 3 * values})


@pytest.mark.parametrize("path", [5, None, b"fit.nc"])
def test_what_is_no_path_is_named(path: Any, data: pd.DataFrame) -> None:
    fit = bmx.Model("y ~ x + (1 | g)", data).fit_eb()
    for call in (bmx.load, fit.save, fit.report):
        with pytest.raises(FileError, match="is not a path"):
            call(path)


def test_draws_of_a_prior_that_overflows_are_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=20), "g": list("abcde") * 4})
    priors = {"sigma": bmx.Prior("LogNormal", mu=0, sigma=1000)}
    post = bmx.Model("y ~ 1 + (1 | g)", data, priors=priors).fit(
        100, chains=2, seed=1, prior_only=True, progress=False
    )
    sigma = post.idata["posterior"]["sigma"].to_numpy()
    assert np.isinf(sigma).any()
    for name in ("wide.nc", "wide.zarr"):
        back = bmx.load(post.save(tmp_path / name))
        np.testing.assert_array_equal(back.idata["posterior"]["sigma"], sigma)


def test_a_prior_that_cannot_be_drawn_from_in_numbers_is_named() -> None:
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=20), "g": list("abcde") * 4})
    priors = {"sigma": bmx.Prior("InverseGamma", alpha=0.001, beta=1)}
    model = bmx.Model("y ~ 1 + (1 | g)", data, priors=priors)
    with pytest.raises(bmx.errors.PriorError, match="narrow the widest"):
        model.fit(100, chains=2, seed=1, prior_only=True, progress=False)
