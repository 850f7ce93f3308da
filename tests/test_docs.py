"""Every block of Python of the site runs, and every line of its tables of other packages."""

from __future__ import annotations

import re
import shlex
import warnings
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix import cli
from tests.site_modules import DOCS, made_tables

PAGES = sorted(
    path for path in DOCS.rglob("*.md")
    if not {"_build", "gallery", "api"} & set(path.relative_to(DOCS).parts)
)  # fmt: skip
SHELL = re.compile(r"^```text\n(.*?)^```", re.M | re.S)
# What is claimed of a block stands behind it in a comment, which readers do not see.
BLOCK = re.compile(r"^```python\n(.*?)^```|^% (assert .*?)$", re.M | re.S)
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]+)")


def name_of(path: Path) -> str:
    return path.relative_to(DOCS).as_posix()


def rows_of(path: Path) -> list[str]:
    """The code in the last column of tables: what to type here."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\)\|", line)[-2].replace("\\|", "|") for line in lines]
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]


@cache
def kept_fit(sampled: bool) -> Any:
    """The fits that many pages begin with, made once; tables of them are made anew."""
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    return model.fit(seed=1, progress=False) if sampled else model.fit_eb()


@pytest.fixture
def own_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages fit the first model again and again: one fit serves all of them."""
    whole = bmx.Model.fit

    @wraps(whole)  # what a file says of a run is held against its arguments
    def fit(model: bmx.Model, *args: Any, **options: Any) -> Any:
        plain = str(model.formula) == "Reaction ~ Days + (Days | Subject)" and options == {
            "seed": 1
        }
        given = model.specification.priors or model.design.n_obs != 180
        if plain and not args and not given:
            return kept_fit(sampled=True)
        return whole(model, *args, **{"progress": False, **options})

    if kept_fit(sampled=True) is not None:
        monkeypatch.setattr(bmx.Model, "fit", fit)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that pages read, invented, in a folder that they may write to."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    school = np.repeat(list("abcdefgh"), 12)
    hours = rng.uniform(0, 5, 96)
    effect = dict(zip("abcdefgh", 3 * rng.normal(size=8), strict=True))
    score = 50 + 4 * hours + np.array([effect[s] for s in school]) + 5 * rng.normal(size=96)
    pd.DataFrame({"score": score, "hours": hours, "school": school}).to_csv("data.csv")
    return tmp_path


def commands_of(text: str) -> list[str]:
    """Lines of a page that a reader may type in a shell, but for the demonstration."""
    lines = [line for block in SHELL.findall(text) for line in block.splitlines()]
    return [line for line in lines if line.startswith("bayesmix ") and " demo" not in line]


def written_for_shell(folder: Path) -> None:
    """Add what the lines for a shell are about to the files."""
    data = pd.read_csv(folder / "data.csv").rename(columns={"Unnamed: 0": "row"})
    data = data.assign(y=data["score"], x=data["hours"], g=data["school"])
    data["count"] = np.random.default_rng(2).poisson(2, len(data)) * (data["row"] % 3 > 0)
    data.to_csv(folder / "data.csv", index=False)
    data.to_parquet(folder / "data.parquet")
    data.drop(columns=["y", "score"]).head(3).to_csv(folder / "new.csv", index=False)


@pytest.mark.usefixtures("one_picture")
def test_each_line_for_a_shell_runs(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = [DOCS.parent / "README.md", *PAGES]
    lines = dict.fromkeys(line for page in pages for line in commands_of(page.read_text()))
    assert len(lines) >= 6
    written_for_shell(files)
    for line in lines:
        few = ["--draws", "60", "--chains", "1"] if " fit " in line and "--eb" not in line else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
            assert cli.main([*shlex.split(line)[1:], *few]) == 0, (line, capsys.readouterr().err)
    named = {word for line in lines for word in shlex.split(line) if word.startswith("--")}
    said = (DOCS / "reference" / "command.md").read_text()
    assert named <= set(re.findall(r"--[a-z-]+", said))
    options = {
        option for action in cli._parser()._subparsers._group_actions[0].choices["fit"]._actions  # type: ignore[union-attr,attr-defined]
        for option in action.option_strings if option.startswith("--")
    }  # fmt: skip
    assert options - {"--help", "--quiet"} <= set(re.findall(r"--[a-z-]+", said))


# Pages whose fits take seconds run with the slow checks.
LONG = {"reporting", "zero_inflation"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=pytest.mark.slow if p.stem in LONG else (), id=name_of(p))
        for p in PAGES
        if BLOCK.search(p.read_text())
    ],
)
@pytest.mark.usefixtures("own_fits", "files", "one_picture")
def test_the_blocks_of_a_page_run(path: Path) -> None:
    names: dict[str, Any] = {"__name__": name_of(path)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
        for block, claim in BLOCK.findall(path.read_text()):
            exec(compile(block or claim, name_of(path), "exec"), names)  # noqa: S102


@cache
def namespace() -> dict[str, Any]:
    """What the tables of other packages speak of."""
    rng = np.random.default_rng(2)
    n = 240
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n), "z": rng.normal(size=n),
            "g": np.repeat(np.arange(24), 10), "h": np.tile(np.arange(10), 24),
            "f": rng.choice(list("abc"), n), "time": np.tile(np.arange(10), 24),
            "w": rng.uniform(0.5, 2, n), "size": rng.integers(5, 20, n),
        }
    )  # fmt: skip
    effect = rng.normal(size=24)[data["g"]]
    data["y"] = 1 + data["x"] + effect + rng.normal(size=n)
    data["p"] = (rng.uniform(size=n) < 1 / (1 + np.exp(-effect))).astype(int)
    data["count"] = rng.poisson(np.exp(0.5 + 0.3 * effect)) * (rng.uniform(size=n) < 0.8)
    data["k"] = rng.binomial(data["size"], 0.4)
    data["se"] = 0.5
    model = bmx.Model("y ~ x + f + (x | g)", data)
    return {
        "bmx": bmx, "np": np, "pd": pd, "data": data, "new": data.head(4), "model": model,
        "eb": model.fit_eb(), "smaller": bmx.Model("y ~ x + (1 | g)", data).fit_eb("ml"),
        "larger": bmx.Model("y ~ x + (x | g)", data).fit_eb("ml"),
        "post": model.fit(draws=300, chains=2, seed=1, progress=False),
    }  # fmt: skip


TABLES = [
    (path, code) for path in sorted((DOCS / "coming_from").glob("*.md")) for code in rows_of(path)
]


@pytest.mark.parametrize(
    ("path", "code"), TABLES, ids=[f"{path.stem}-{code[:40]}" for path, code in TABLES]
)
@pytest.mark.usefixtures("files")
def test_each_line_of_the_tables_runs(path: Path, code: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
        exec(compile(code, name_of(path), "exec"), dict(namespace()))  # noqa: S102


def columns_of_tables() -> list[tuple[str, list[str]]]:
    """Calls and the columns that a page says their tables have."""
    text = (DOCS / "reference" / "columns.md").read_text().split("## Table by table")[1]
    rows = [
        re.split(r"(?<!\\)\|", line)[1:3] for line in text.splitlines() if line.startswith("| `")
    ]
    return [
        (call.strip(" `").replace("\\|", "|"), re.findall("`([^`]+)`", names))
        for call, names in rows
    ]


@pytest.mark.parametrize(("call", "columns"), columns_of_tables())
def test_tables_have_the_columns_of_their_page(call: str, columns: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bmx.errors.BayesmixWarning)
        table = eval(call, dict(namespace()))  # noqa: S307
    assert list(table.columns) == columns


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_readers_see_no_asserts(path: Path) -> None:
    assert not re.search(r"^assert ", path.read_text(), re.M)


def test_there_are_tables_and_pages() -> None:
    assert len(TABLES) > 80
    assert len(PAGES) > 25


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_to_pages(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        target = (path.parent / link).resolve()
        is_notebook = target.parent == DOCS / "gallery"
        if is_notebook:
            target = DOCS.parent / "notebooks" / target.name
        assert target.exists(), (path, link)


def test_the_tables_of_the_reference_name_all_there_is() -> None:
    families, structures, errors = (
        made_tables.TABLES[k]() for k in ("families", "structures", "errors")
    )  # fmt: skip
    assert all(f"| `{name}` |" in families for name in bmx.families.FAMILIES)
    assert "| `ar1(... \\| g)` |" in structures
    assert "| `ConvergenceWarning` |" in errors
    for table in (families, structures, errors):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
