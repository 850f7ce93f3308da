"""What README.md and the tour of the site say runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TOUR = (ROOT / "docs" / "start" / "tour.md").read_text()


def section(title: str, level: str = "##") -> str:
    return TOUR.split(f"{level} {title}\n")[1].split("\n## ")[0]


SECTION = section("Structured terms, relatives and smooths")
TERMS = [
    term.replace("\\|", "|")
    for line in SECTION.splitlines()
    if line.startswith("| `")
    for term in re.findall("`([^`]+)`", re.split(r"(?<!\\)\|", line)[1])
]


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    student, occasion = np.repeat(np.arange(1, 41), 5), np.tile(np.arange(5), 40)
    steps = rng.normal(size=(40, 5)).cumsum(axis=1)
    gpa = pd.DataFrame({"student": student, "occasion": occasion})
    gpa["gpa"] = 2.6 + 0.1 * occasion + 0.3 * steps.ravel() + 0.2 * rng.normal(size=200)
    at = rng.uniform(size=(30, 2))
    R = np.exp(-np.linalg.norm(at[:, None] - at, axis=2) / 0.3)
    y = np.linalg.cholesky(R) @ rng.normal(size=30)
    places = pd.DataFrame({"lon": at[:, 0], "lat": at[:, 1], "y": y})
    places = pd.concat([places] * 2).assign(y=lambda d: d["y"] + 0.3 * rng.normal(size=60))
    calves = pd.DataFrame({"animal": [f"calf{k}" for k in range(120)]})
    calves["sire"] = rng.choice(list("abcd"), 120)
    calves["dam"] = rng.choice(list("stuvwxyz"), 120)
    calves["sex"] = rng.choice(["f", "m"], 120)
    value = {parent: rng.normal() for parent in "abcdstuvwxyz"}
    calves["weight"] = [
        30 + value[s] + value[d] + 3 * rng.normal()
        for s, d in zip(calves["sire"], calves["dam"], strict=True)
    ]
    return {
        "bmx": bmx, "gpa": gpa, "places": places.reset_index(drop=True),
        "elsewhere": pd.DataFrame({"lon": [0.5, 50.0], "lat": [0.5, 50.0]}),
        "calves": calves, "pedigree": calves[["animal", "sire", "dam"]],
        "sleep": bmx.load_dataset("sleepstudy"),
    }  # fmt: skip


def test_its_code_runs_and_its_claims_hold(namespace: dict[str, Any]) -> None:
    (code,) = re.findall("```{code-block} python\n(.*?)```", SECTION, flags=re.S)
    exec(code, namespace)  # noqa: S102
    eb, field = namespace["eb"], namespace["field"]
    assert eb.covariance_parameters()["parameter"].tolist() == ["rho"]
    assert eb.variance_components()["effect"][0] == "ar1(occasion)"
    assert eb.group_effects()["effect"][3] == "ar1(occasion)[3]"
    variance = eb.variance_components()["variance"]
    assert eb.icc()["estimate"][0] == pytest.approx(variance[0] / variance.sum())
    both = eb.hypothesis(["rho_student > 0.5", "rho(student) > 0.5"]).table["estimate"]
    assert both[0] == both[1]
    priors = eb.model.priors.set_index("parameter")["prior"]
    assert priors["rho(student)"].startswith("Uniform")
    range_of = next(name for name in field.model.priors["parameter"] if name.startswith("range("))
    assert field.model.priors.set_index("parameter")["prior"][range_of].startswith("LogNormal")
    far = field.predict(namespace["elsewhere"])["estimate"]
    # At a place far from all others nothing is known but the mean.
    assert far[1] == pytest.approx(field.fixed_effects()["estimate"][0], abs=1e-6)
    assert abs(far[0] - far[1]) > 1e-3
    table = namespace["animals"].group_effects("animal")
    assert {"calf0", "a", "s"} <= set(table["level"])
    assert 0 < namespace["animals"].icc()["estimate"][0] < 1
    assert namespace["gamm"].smooths()["term"].tolist() == ["s(Days)"]
    assert namespace["gamm"].icc()["group"].tolist() == ["Subject"]


def test_residuals_run_as_they_are_written(namespace: dict[str, Any]) -> None:
    text = section("Correlated and unequal residuals")
    (code,) = re.findall("```{code-block} python\n(.*?)```", text, flags=re.S)
    gpa = namespace["gpa"]
    last = (gpa["student"] == 1) & (gpa["occasion"] == 4)
    names = {"bmx": bmx, "gpa": gpa[~last], "later": gpa[last]}
    exec(code, names)  # noqa: S102
    serial: Any = names["serial"]
    assert serial.covariance_parameters()["group"].tolist() == ["Residual"]
    one, other = (
        serial.predict(names["later"], forecast=f)["estimate"].iloc[0] for f in (True, False)
    )
    assert abs(one - other) > 1e-4


def test_a_formula_for_every_parameter_runs_as_it_is_written(rng: np.random.Generator) -> None:
    text = section("A formula for every parameter", "###")
    (code,) = re.findall("```{code-block} python\n(.*?)```", text.split("\n### ")[0], flags=re.S)
    site = np.repeat(np.arange(12), 15)
    mined = np.where(site < 6, "yes", "no")
    mean = np.exp(1.0 - 0.8 * (site < 6) + 0.3 * rng.normal(size=12)[site])
    seen = rng.uniform(size=len(site)) > np.where(site < 6, 0.6, 0.2)
    frame = pd.DataFrame({"count": rng.poisson(mean) * seen, "site": site, "mined": mined})
    names: dict[str, Any] = {"bmx": bmx, "salamanders": frame}
    exec(code, names)  # noqa: S102
    fit: Any = names["zip_fit"]
    zi = fit.predict(parameter="zi")["estimate"].to_numpy()
    assert zi.min() > 0
    assert zi.max() < 1
    assert fit.fixed_effects(parameter="zi")["term"].tolist() == ["Intercept", "mined[T.yes]"]
    means = fit.predictions(by="mined").set_index("mined")["estimate"]
    difference = fit.comparisons("mined")["estimate"][0]
    assert difference == pytest.approx(means["yes"] - means["no"], rel=0.2)
    rows = [line for line in section("Families").splitlines() if line.startswith("| `")]
    named = [name for line in rows for name in re.findall("`([a-z_0-9]+)`", line.split("|")[1])]
    assert {name for name in named if not name.endswith("_")} <= set(bmx.families.FAMILIES)


def test_tests_of_effects_run_as_they_are_written() -> None:
    text = section("Tests of effects", "###").split("```{code-block} python\n")[1].split("```")[0]
    sleep = bmx.load_dataset("sleepstudy")
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    names: dict[str, Any] = {"bmx": bmx, "sleep": sleep, "eb": eb}
    exec(text.replace("1000", "40").replace("n=200", "n=20"), names)  # noqa: S102
    assert len(names["boot"].fixed_effects()) == 2


def test_simulation_and_power_run_as_they_are_written() -> None:
    text = (
        section("Simulation and power", "###").split("```{code-block} python\n")[1].split("```")[0]
    )
    sleep = bmx.load_dataset("sleepstudy")
    eb = bmx.Model("Reaction ~ Days + (Days | Subject)", sleep).fit_eb()
    names: dict[str, Any] = {"bmx": bmx, "eb": eb}
    exec(text.replace("n=20,", "n=4,"), names)  # noqa: S102
    assert names["curve"].table["subject"].tolist() == [10, 20, 40]


def test_marginal_means_run_as_they_are_written(
    reference_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reference_folder / "data")
    text = section("Marginal means", "###").split("```{code-block} python\n")[1].split("```")[0]
    names: dict[str, Any] = {"bmx": bmx, "pd": pd}
    exec(text, names)  # noqa: S102
    assert names["means"].table["estimate"].round(1).tolist() == [104.5, 109.8, 97.6]
    for line in re.findall(r"`(trends|contrasts|marginal_means)\(", TOUR):
        assert hasattr(names["eb"], line) or hasattr(names["means"], line)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_of_its_table_is_a_model(term: str, namespace: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    n = 480
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n), "g": np.repeat(np.arange(40), 12),
            "time": np.tile(np.arange(6), 80), "f": np.tile(list("abcdef"), 80),
            "x": rng.normal(size=n), "z": rng.normal(size=n),
            "lon": np.tile(rng.normal(size=6), 80), "lat": np.tile(rng.normal(size=6), 80),
            "animal": np.repeat(np.arange(40), 12), "g1": rng.integers(0, 9, n),
            "g2": rng.integers(0, 9, n), "w1": rng.uniform(size=n), "w2": rng.uniform(size=n),
        }
    )  # fmt: skip
    labels = list(range(40))
    A = pd.DataFrame(np.eye(40) * 0.5 + 0.5, index=labels, columns=labels)
    matrices = {"matrices": {"A": A}} if "cov=A" in term else {}
    if "gr(g, by=f)" in term:
        data["f"] = np.where(data["g"] < 20, "a", "b")
    by = " + f" if "s(x, by=f)" in term else ""
    model = bmx.Model(f"y ~ 1 + {term}{by}", data, **matrices)
    assert model.design.mu.groups


def test_the_table_has_terms() -> None:
    assert len(TERMS) >= 15


@pytest.mark.usefixtures("one_picture")
def test_the_readme_is_short_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(README.splitlines()) < 120
    rng = np.random.default_rng(1)
    school, hours = np.repeat(list("abcdefgh"), 12), rng.uniform(0, 5, 96)
    score = 50 + 4 * hours + rng.normal(size=8).repeat(12) + rng.normal(size=96)
    pd.DataFrame({"score": score, "hours": hours, "school": school}).to_csv(tmp_path / "data.csv")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in re.findall("```python\n(.*?)```", README, flags=re.S):
        exec(code.replace("seed=1", "seed=1, progress=False"), names)  # noqa: S102
    assert (tmp_path / "fit.html").exists()
    assert "score" in names["post"].methods().text
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link
