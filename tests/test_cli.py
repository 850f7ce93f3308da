"""The command `bayesmix`."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesmix as bmx
from bayesmix import cli, demo
from bayesmix.cli.reading import read_table, with_identifiers, with_orders
from bayesmix.cli.saying import in_shell_words
from bayesmix.errors import DataError
from tests.full_disk import full_disk


@pytest.fixture
def csv(tmp_path: Path, sleepstudy: pd.DataFrame) -> Path:
    path = tmp_path / "data.csv"
    sleepstudy.to_csv(path, index=False)
    return path


def test_fit_prints_the_summary_and_saves_the_draws(csv: Path) -> None:
    output = csv.parent / "fit.nc"
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "bayesmix"), "fit",
            "Reaction ~ Days", str(csv),
            "--draws", "200", "--tune", "200", "--chains", "2", "--seed", "1",
            "--engine", "fast", "--output", str(output),
        ],
        capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Fixed effects" in done.stdout
    assert "engine fast" in done.stdout
    assert "seed 1" in done.stdout
    assert f"Saved to {output}" in done.stdout
    tree = xr.load_datatree(output)
    assert dict(tree["posterior"].sizes)["draw"] == 200
    assert list(tree["posterior"]["beta"]["fixed_effect"].values) == ["Intercept", "Days"]


def test_options_of_the_sampler_arrive(csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def fit(_: bmx.Model, *draws: int, **options: Any) -> None:
        asked.extend([*draws, options])
        raise bmx.errors.SamplingError("not here")

    monkeypatch.setattr(bmx.Model, "fit", fit)
    given = ["--draws", "200", "--tune", "300", "--chains", "2", "--seed", "1", "--engine", "pymc"]
    given += ["--target-accept", "0.9", "--quiet"]
    assert cli.main(["fit", "Reaction ~ Days", str(csv), *given]) == 1
    assert asked == [
        200, {"tune": 300, "chains": 2, "seed": 1, "target_accept": 0.9, "engine": "pymc",
              "progress": False},
    ]  # fmt: skip


@pytest.mark.usefixtures("one_picture")
def test_fits_and_reports_are_written_and_semicolons_read(
    csv: Path, sleepstudy: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    sleepstudy.to_csv(csv, index=False, sep=";")
    output, page = csv.parent / "fit.zarr", csv.parent / "fit.html"
    code = cli.main(
        ["fit", "Reaction ~ Days + (Days | Subject)", str(csv), "--seed", "1", "--quiet",
         "--sep", ";", "--output", str(output), "--report", str(page)]
    )  # fmt: skip
    assert code == 0
    assert f"Report in {page}" in capsys.readouterr().out
    post = bmx.load(output)
    assert post.idata.attrs["seed"] == 1
    assert "<math" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("separator", [";", "\\t"])
def test_decimal_commas_are_read(
    separator: str, csv: Path, sleepstudy: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    written = "\t" if separator == "\\t" else separator
    sleepstudy.to_csv(csv, index=False, sep=written, decimal=",")
    given = ["fit", "Reaction ~ Days", str(csv), "--seed", "1", "--quiet", "--sep", separator]
    assert cli.main([*given, "--decimal", ","]) == 0
    said = capsys.readouterr()
    assert "180 rows" in said.out
    assert not said.err


@pytest.mark.parametrize(("encoding", "named"), [("cp1252", "cp1252"), ("utf-16", "utf-16")])
def test_files_in_other_encodings_are_read_as_the_message_says(
    encoding: str,
    named: str,
    csv: Path,
    sleepstudy: pd.DataFrame,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sleepstudy.rename(columns={"Subject": "Schüler"}).to_csv(csv, index=False, encoding=encoding)
    given = ["fit", "Reaction ~ Days + (1 | Schüler)", str(csv), "--eb"]
    assert cli.main(given) == 2
    assert f"it is not written in utf-8; --encoding {named} reads" in capsys.readouterr().err
    assert cli.main([*given, "--encoding", encoding]) == 0
    said = capsys.readouterr()
    assert "Schüler (18 levels)" in said.out
    assert not said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required"),
        (["fit"], "required"),
        (["fit", "y ~ x"], "required"),
        (["paint"], "invalid choice"),
        (["fit", "y ~ x", "DATA", "--draws", "many"], "invalid int"),
        (["fit", "y ~ x", "nowhere.csv"], "no file nowhere.csv"),
        (["fit", "y ~ x", "https://a.org/x.csv"], "is an address, and no file: download it"),
        (["fit", "y ~ x", "DATA", "--encoding", "klingon"], "--encoding 'klingon' is none"),
        (["fit", "DATA", "y ~ x"], "the formula comes first, and then the data"),
        (["fit", "Reaction ~ Dais", "DATA"], "did you mean `Days`"),
        (["fit", "Reaction ~ Days | Subject", "DATA"], "outside parentheses"),
        (["fit", "Reaction ~ {open('x', 'w')}", "DATA"], "not allowed"),
        (["fit", "Reaction ~ Days", "DATA", "--family", "gausian"], "did you mean 'gaussian'"),
        (["fit", "Reaction ~ Days", "DATA", "--link", "probit"], "no link 'probit'"),
        (["fit", "Reaction ~ Days", "DATA", "--family", "beta"], "the beta family wants"),
        (["fit", "Reaction ~ Days", "DATA", "--engine", "stan"], "--engine 'stan'"),
        (["fit", "Reaction ~ Days", "DATA", "--draws", "0"], "--draws 0"),
        (["fit", "Reaction ~ Days", "DATA", "--output", "/no/such/folder/x.nc"], "no folder"),
        (["fit", "Reaction ~ Days", "EMPTY"], "not a CSV file"),
        (["fit", "y ~ x", "SHIFTED"], "more fields than its header"),
        (["fit", "Reaction ~ Days", "DATA", "--output", "FOLDER"], "must end in"),
        (["fit", "Reaction ~ Days", "DATA", "--output", "fit.pkl"], "must end in .nc"),
        (["fit", "Reaction ~ Days", "DATA", "--report", "fit.pdf"], "ends in .html"),
        (["fit", "Reaction ~ Days", "DATA", "--sep", ";"], "all there is is"),
        (["fit", "Reaction ~ Days", "DATA", "--sep", ";"], "--sep ',' reads it"),
        (["fit", "Reaction ~ Days", "DATA", "--sep", ""], "'' must be one character"),
        (["fit", "Reaction ~ Days", "DATA", "--sep", ";;"], "';;' must be one character"),
        (["fit", "Reaction ~ Days", "DATA", "--decimal", ","], "take another of the two"),
        (["fit", "Reaction ~ Days", "DATA", "--decimal", "x"], "invalid choice"),
        (["fit", "Reaction ~ Days", "FOLDER"], "is a folder; name a CSV file"),
        (["fit", "y ~ x", "SEMI"], "--sep ';' reads it"),
        (["fit", "y ~ x", "SEMI", "--sep", ";"], "y of"),
        (["fit", "y ~ x", "SEMI", "--sep", ";"], "--decimal , reads numbers"),
        (["fit", "y ~ x", "RAGGED"], "not a CSV file"),
        (["demo", "--folder", "EMPTY"], "File exists"),
    ],
)
def test_wrong_use_is_a_short_message_and_exit_code_2(
    arguments: list[str], message: str, csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = csv.parent / "empty.csv"
    empty.write_text("")
    shifted = csv.parent / "shifted.csv"
    shifted.write_text("y,x\n1,2,9\n2,5,8\n")
    semi = csv.parent / "semi.csv"
    semi.write_text("y;x\n1,5;2\n2;1\n3,25;4\n")
    ragged = csv.parent / "ragged.csv"
    ragged.write_bytes(b"y,x\n1,2\n\xff,3\n")
    files = {
        "DATA": csv, "EMPTY": empty, "SHIFTED": shifted, "FOLDER": csv.parent, "SEMI": semi,
        "RAGGED": ragged,
    }  # fmt: skip
    given = [str(files.get(a, a)) for a in arguments]
    try:
        code = cli.main(given)
    except SystemExit as stop:  # argparse stops the process itself
        code = int(stop.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert message in said.err
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) <= 12
    assert not said.out


def read(csv: Path, formula: str, codes: list[str], *options: str) -> pd.Series:
    """The column `code` of a file as the command takes it for a formula."""
    separator = ";" if options else ","
    lines = [separator.join(row) for row in zip(map(str, range(len(codes))), codes, strict=True)]
    csv.write_text("\n".join([separator.join(["y", "code"]), *lines]) + "\n")
    given = cli._parser().parse_args(["fit", formula, str(csv), *options])
    return with_identifiers(read_table(given), given)["code"]


@pytest.mark.parametrize(
    "formula", ["y ~ 1 + (1 | code)", "y ~ C(code)", "y ~ (0 + C(code) | code)"]
)
@pytest.mark.parametrize(
    "codes",
    [
        ["001", "01", "1", "0010", "010", "10"],
        ["007", "008", "009"],
        ["1", "1.0", "2"],
        ["1.1", "1.10", "2.0"],
        ["1e3", "2e5", "3"],
        ["9007199254740993", "", "9007199254740992"],
        ["A1", "01", "1"],
        ["+1", "1", "-1"],
        ["True", "TRUE", "False"],
    ],
)
def test_codes_of_groups_are_taken_as_they_are_written(
    csv: Path, formula: str, codes: list[str]
) -> None:
    column = read(csv, formula, codes)
    assert column.fillna("").tolist() == codes


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_data_may_come_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = "y;code\n1;001\n2;01\n"
    with ThreadPoolExecutor() as beside:
        beside.submit(pipe.write_text, text)
        given = cli._parser().parse_args(["fit", "y ~ 1 + (1 | code)", str(pipe), "--sep", ";"])
        assert with_identifiers(read_table(given), given)["code"].tolist() == ["001", "01"]


def test_numbers_stay_numbers_where_nothing_is_lost(csv: Path) -> None:
    for formula, codes in (
        ("y ~ 1 + (1 | code)", ["3", "1", "10"]),
        ("y ~ 1 + (1 | code)", ["0.5", "1.25", "10"]),  # continuous, which is refused later
        ("y ~ code", ["001", "01", "1"]),
        ("y ~ code + (1 | code)", ["3", "1", "10"]),
        ("y ~ code + (1 | code)", ["03", "01", "10"]),
    ):
        assert read(csv, formula, codes).tolist() == [float(code) for code in codes]
    decimal = read(csv, "y ~ 1 + (1 | code)", ["1,5", "1,50", "2"], "--sep", ";", "--decimal", ",")
    assert decimal.tolist() == ["1,5", "1,50", "2"]
    with pytest.raises(bmx.errors.DataError, match=r"`code` .* written in more than one way"):
        read(csv, "y ~ code + (1 | code)", ["001", "01", "1"])


def test_six_codes_with_zeros_are_six_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = ["001", "01", "1", "0010", "010", "10"]
    path = tmp_path / "codes.csv"
    pd.DataFrame({"y": range(60), "id": codes * 10}).to_csv(path, index=False)
    fitted: list[bmx.Model] = []

    def fit(model: bmx.Model, *_: object, **__: object) -> None:
        fitted.append(model)
        raise bmx.errors.SamplingError("not here")

    monkeypatch.setattr(bmx.Model, "fit", fit)
    assert cli.main(["fit", "y ~ 1 + (1 | id)", str(path)]) == 1
    assert sorted(fitted[0].design.mu.groups[0].levels.labels) == sorted(codes)


def test_warnings_are_shown_as_before_afterwards(csv: Path) -> None:
    before = warnings.showwarning
    assert cli.main(["fit", "Nothing ~ Days", str(csv)]) == 2
    assert warnings.showwarning is before


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert bmx.__version__ in capsys.readouterr().out


def test_interrupts_and_sampling_errors_have_their_exit_codes(
    csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, code in ((KeyboardInterrupt(), 130), (bmx.errors.SamplingError("no start"), 1)):

        def fail(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(bmx.Model, "fit", fail)
        assert cli.main(["fit", "Reaction ~ Days", str(csv)]) == code
        assert "bayesmix: " in capsys.readouterr().err


def test_demo(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sleepstudy_posterior: bmx.Posterior,
) -> None:
    monkeypatch.setattr(bmx.Model, "fit", lambda *_, **__: sleepstudy_posterior)
    folder = tmp_path / "made" / "here"
    paths = demo.run_demo(folder)
    printed = capsys.readouterr().out
    assert "vary by Subject (18 levels)" in printed
    assert "Variance components" in printed
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert str(path) in printed


def find_python(path: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[1] / "scripts" / "find-python"
    return subprocess.run(
        ["/bin/sh", str(script)], capture_output=True, text=True, check=False, env={"PATH": path}
    )


def test_an_old_python_ends_in_one_line_that_says_what_is_needed(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$2" in *platform*) echo 3.11.7;; *) exit 1;; esac\n')
    old.chmod(0o755)
    done = find_python(str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.12 or newer" in done.stderr
    assert "3.11.7" in done.stderr


def test_a_python_that_is_new_enough_is_found(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    assert find_python(str(tmp_path)).stdout.strip()


@pytest.mark.parametrize(
    ("formula", "codes", "expected"),
    [
        ("y ~ 1 + cs(code | g)", ["001", "01", "1"], ["001", "01", "1"]),
        ("y ~ 1 + homcs(code | g)", ["003", "02", "1"], ["003", "02", "1"]),
        ("y ~ 1 + cs(code | g)", ["3", "1", "10"], [3, 1, 10]),
        ("y ~ 1 + ar1(code | g)", ["01", "02", "10"], [1, 2, 10]),
    ],
)
def test_codes_within_structures_are_taken_as_they_are_written(
    csv: Path, formula: str, codes: list[str], expected: list[object]
) -> None:
    assert read(csv, formula, codes).tolist() == expected


def test_codes_of_further_formulas_are_taken_as_they_are_written(csv: Path) -> None:
    assert read_further(csv, "sigma ~ 1 + (1 | code)") == ["001", "01"]
    assert read_further(csv, "residual ~ cs(code)") == ["001", "01"]


def read_further(csv: Path, formula: str) -> list[str]:
    csv.write_text("y,code\n1,001\n2,01\n")
    given = cli._parser().parse_args(["fit", "y ~ 1", str(csv), "--formula", formula])
    return [str(code) for code in with_identifiers(read_table(given), given)["code"]]


@pytest.mark.usefixtures("one_picture")
def test_reml_priors_and_predictions_from_the_shell(
    csv: Path, sleepstudy: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    new, out, saved = (csv.parent / name for name in ("new.csv", "out.csv", "fit.nc"))
    new.write_text("Days,Subject,estimate\n3,308,1\n12,new,2\n")
    formula = "Reaction ~ Days + (Days | Subject)"
    given = ["fit", formula, str(csv), "--eb", "--output", str(saved)]
    assert cli.main([*given, "--predict", str(new), "--to", str(out)]) == 0
    assert "REML criterion 1743.63" in capsys.readouterr().out
    table = pd.read_csv(out)
    eb = bmx.Model(formula, sleepstudy).fit_eb()
    expected = eb.predict({"Days": [3, 12], "Subject": ["308", "new"]})["estimate"]
    assert table["predicted_estimate"].tolist() == pytest.approx(expected.tolist())
    assert table["Subject"].tolist() == ["308", "new"]
    written = csv.parent / "out.parquet"
    assert cli.main([*given, "--predict", str(new), "--to", str(written)]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(written), table.astype({"Subject": "str"}))
    capsys.readouterr()
    priors = ["--prior", "sd(Subject)=HalfNormal(1)", "--prior", "Days=Normal(mu=0, sigma=2)"]
    assert cli.main(["fit", formula, str(csv), "--method", "map", *priors]) == 0
    assert "posterior mode" in capsys.readouterr().out
    picture, page = csv.parent / "check.png", csv.parent / "fit.html"
    assert cli.main(["check", str(saved), "--to", str(picture)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("empirical Bayes by REML")
    assert "REML criterion 1743.63" in said
    assert "Nothing was found wrong." in said
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cli.main(["report", str(saved)]) == 0
    assert "<math" in page.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("default::bayesmix.errors.BayesmixWarning")
def test_parquet_missing_texts_and_further_formulas(
    csv: Path, sleepstudy: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = csv.parent / "data.parquet"
    sleepstudy.to_parquet(parquet)
    given = ["--eb", "--formula", "sigma ~ Days"]
    assert cli.main(["fit", "Reaction ~ Days + (1 | Subject)", str(parquet), *given]) == 0
    assert "sigma: Fixed effects" in capsys.readouterr().out
    csv.write_text("y,x\n1,2\n2,-999\n4,3\n3,1\n2,2\n")
    assert cli.main(["fit", "y ~ x", str(csv), "--eb", "--na-values", "-999"]) == 0
    said = capsys.readouterr()
    assert "4 rows" in said.out
    assert "missing" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prior", "sd"], "must be a name, = and a prior"),
        (["--prior", "sd=HalfNormal(one)"], "'one' is not a number"),
        (["--prior", "sd=HalfNormal 1"], "is no prior: write it as"),
        (["--prior", "sd=HalfNorml(1)"], "HalfNormal"),
        (["--to", "out.csv"], "say of which rows, --predict NEW.csv"),
        (["--predict", "new.csv", "--to", "/no/such/out.csv"], "no folder /no/such to write"),
        (["--method", "mle"], "--method 'mle'"),
    ],
)
def test_wrong_options_are_said(
    arguments: list[str], message: str, csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fit", "Reaction ~ Days + (1 | Subject)", str(csv), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_advice_is_in_shell_words() -> None:
    said = in_shell_words(
        "3 divergent transitions: raise target_accept (0.95, 0.99); the chains disagree; raise "
        'tune and draws; about draws=1500 would be enough; write Model(..., weights="w")'
    )
    assert "raise --target-accept (0.95, 0.99)" in said
    assert "raise --tune and --draws" in said
    assert "about --draws 1500" in said
    assert said.endswith("write --weights w")


@pytest.mark.filterwarnings("default::bayesmix.errors.BayesmixWarning")
def test_advice_on_columns_is_in_shell_words(csv: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{['low', 'mid', 'top'][k % 3]},{k if k != 7 else 'unknown'}" for k in range(30)]
    csv.write_text("\n".join(["grade,x", *rows]) + "\n")
    given = ["fit", "grade ~ x", str(csv), "--family", "cumulative", "--eb"]
    assert cli.main(given) == 2
    assert '--order "grade=LOWEST,...,HIGHEST"' in capsys.readouterr().err
    given += ["--order", "grade=mid,low,none,top"]
    cli.main(given)
    said = capsys.readouterr().err
    assert "and 'unknown'; --na-values TEXT makes them missing;" in said
    assert "which is left out: 'none'\n" in said
    assert cli.main([*given, "--na-values", "unknown"]) == 0
    assert "mid|low" in capsys.readouterr().out


def test_orders_of_categories() -> None:
    data = pd.DataFrame({"g": [1.0, 4.0, np.nan, 2.0], "t": ["a", "b", None, "a"]})
    found = with_orders(data.copy(), ["g=4,2,1", "t = b, a"])
    assert found["g"].cat.codes.tolist() == [2, 0, -1, 1]
    assert found["t"].cat.codes.tolist() == [1, 0, -1, 1]
    for text, said in [
        ("g", "must be a column"), ("g=1", "must be a column"), ("g=1,1", "must be a column"),
        ("h=1,2", "no such column; there are `g`, `t`"), ("g=1,2", "leaves out .* 4.0"),
        ("g=1,1.0,2,4", "each once"), ("g=1,2,4,x", "must name numbers"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=said):
            with_orders(data.copy(), [text])


def test_the_package_runs_as_the_command_does(csv: Path) -> None:
    for arguments, expected in ((["--version"], bmx.__version__), (["fit", "y ~"], "usage")):
        done = [
            subprocess.run(
                [*start, *arguments], capture_output=True, text=True, check=False, timeout=100
            )
            for start in (
                [str(Path(sys.executable).parent / "bayesmix")], [sys.executable, "-m", "bayesmix"]
            )
        ]  # fmt: skip
        assert done[0].stdout == done[1].stdout
        assert done[0].stderr == done[1].stderr
        assert done[0].returncode == done[1].returncode
        assert expected in done[1].stdout + done[1].stderr


def test_a_full_disk_leaves_the_old_predictions_and_picture(
    csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", "Reaction ~ Days + (1 | Subject)", str(csv), "--eb", "--quiet"]
    saved, picture = csv.parent / "fit.nc", csv.parent / "check.png"
    assert cli.main([*fit, "--output", str(saved)]) == 0
    calls = [[*fit, "--predict", str(csv), "--to", str(csv.parent / f"out.{kind}")]
             for kind in ("csv", "parquet")]  # fmt: skip
    for call in [*calls, ["check", str(saved), "--to", str(picture)]]:
        path = Path(call[-1])
        assert cli.main(call) == 0
        before = path.read_bytes()
        capsys.readouterr()
        with full_disk(1000):
            assert cli.main(call) == 2
        assert f"'{path}' cannot be written: File too large" in capsys.readouterr().err
        assert path.read_bytes() == before
    assert len(pd.read_csv(calls[0][-1])) == len(pd.read_parquet(calls[1][-1])) == 180
    assert cli.main([*calls[0][:-1], "/dev/full"]) == 2
    assert "'/dev/full' cannot be written: No space left" in capsys.readouterr().err


def test_codes_as_numbers_and_as_ordered_categories(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(115)
    codes = np.array(["1", "01", "001"])
    x = rng.normal(size=120)
    grade = codes[np.digitize(x + rng.logistic(size=120), [-0.5, 0.6])]
    path = tmp_path / "d.csv"
    code = rng.choice([*codes, "2", "3", "4", "5"], size=120)
    data = pd.DataFrame({"x": x, "grade": grade, "code": code, "y": x + rng.normal(size=120)})
    data.to_csv(path, index=False)
    given = ["fit", "grade ~ x", str(path), "--family", "cumulative", "--eb", "--quiet"]
    assert cli.main([*given, "--order", "grade=1,01,001"]) == 0
    ordered = pd.read_csv(path, dtype={"grade": str})
    ordered["grade"] = pd.Categorical(ordered["grade"], list(codes), ordered=True)
    right = bmx.Model("grade ~ x", ordered, family="cumulative").fit_eb()
    shown = capsys.readouterr()
    assert f"loglik {right.loglik:.2f}" in shown.out
    assert "taken as numbers" not in shown.err
    for formula in ("y ~ code", "y ~ s(x, by=code, k=4)"):
        assert cli.main(["fit", formula, str(path), "--eb", "--quiet"]) == 0
        said = capsys.readouterr().err
        assert "column `code`" in said
        assert "are one; if they are codes, write C(code)" in said
    assert cli.main(["fit", "y ~ C(code)", str(path), "--eb", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert "C(code)[T.01]" in shown.out
    assert not shown.err
