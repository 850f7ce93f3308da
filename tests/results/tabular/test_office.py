"""Tables as files of Word and Excel, and in the user's words everywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import ArgumentError, FileError, NotSupportedError
from tests.full_disk import full_disk

WORDS = {"Days": "days awake", "Subject": "person", "estimate": "ms", "308": "=the first"}


@pytest.fixture(scope="module")
def eb() -> Any:
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    return model.fit_eb()


@pytest.fixture(scope="module")
def gathered(eb: Any) -> Any:
    penicillin = bmx.load_dataset("penicillin")
    means = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
    return bmx.tables(
        {
            "Effects": eb.fixed_effects(), "Effects again": eb.fixed_effects(),
            "Components": eb.variance_components(), "Means": means.marginal_means("treat"),
            "Contrasts: all/pairs": means.marginal_means("treat").contrasts(),
            "ANOVA": means.anova(), "All of it": eb.summary(groups=False),
        },
        title="Two studies",
    )  # fmt: skip


def test_the_users_words_stand_in_every_table(eb: Any) -> None:
    summary = eb.summary()
    for text in (summary.to_latex(labels=WORDS), summary.to_markdown(labels=WORDS)):
        assert "days awake" in text
        assert "Group effects of person" in text
        assert " ms " in text
    assert "days awake" in str(summary.labelled(WORDS))
    every = summary.labelled(WORDS).to_dataframe()
    assert set(every["group"].dropna()) == {"person", "Residual"}
    assert "Subject" not in set(every.astype(str).to_numpy().ravel())
    assert str(summary.labelled(None)) == str(summary)
    with pytest.raises(ArgumentError, match="dict of words"):
        summary.to_latex(labels=["Days"])


def test_word_has_the_cells_that_are_printed(eb: Any, gathered: Any, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    place = eb.summary().to_docx(tmp_path / "a.docx", digits=2, intervals=True, labels=WORDS)
    document = docx.Document(str(place))
    rows = [[c.text for c in row.cells] for row in document.tables[0].rows]
    assert rows[0][0] == "term"
    assert rows[2][:2] == ["days awake", "10.47 [7.44, 13.50]"]
    assert document.paragraphs[0].text == "Reaction ~ Days + (Days | Subject)"
    document = docx.Document(str(gathered.to_docx(tmp_path / "b.docx")))
    assert len(document.tables) == len(gathered.sections)
    assert len(document.tables[3].rows) == 5
    assert any(gathered.sections[3].note in p.text for p in document.paragraphs)


def test_excel_has_all_rows_at_full_precision(eb: Any, gathered: Any, tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    found = pd.read_excel(eb.summary().to_excel(tmp_path / "a.xlsx", labels=WORDS), sheet_name=None)
    effects = found["Group effects of person"]
    assert len(effects) == 36
    assert effects["level"][0] == "=the first"
    wanted = eb.fixed_effects()["estimate"].tolist()
    assert found["Fixed effects"]["ms"].tolist() == pytest.approx(wanted, rel=1e-14)
    assert "REML" in " ".join(found["About"]["about"])
    sheets = pd.read_excel(gathered.to_excel(tmp_path / "b.xlsx"), sheet_name=None)
    assert list(sheets)[:5] == ["Effects", "Effects again", "Components", "Means",
                                "Contrasts  all pairs"]  # fmt: skip
    assert len(sheets["ANOVA"]) == 1


@pytest.mark.parametrize(
    ("call", "module", "extra"),
    [("to_docx", "docx", "docx"), ("to_excel", "openpyxl", "excel")],
)
def test_without_the_extra_the_way_out_is_named(
    call: str, module: str, extra: str, eb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    ending = {"docx": "docx", "excel": "xlsx"}[extra]
    with pytest.raises(NotSupportedError, match=rf'pip install "bayesmix\[{extra}\]"'):
        getattr(eb.summary(), call)(tmp_path / f"a.{ending}")
    with pytest.raises(FileError, match=rf"ends in \.{ending}"):
        getattr(eb.summary(), call)(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_table_is_refused() -> None:
    for wrong in ({"a": 1}, [1], None):
        with pytest.raises(ArgumentError, match="dict of tables by their titles"):
            bmx.tables(wrong)


def test_a_full_disk_is_named_and_leaves_the_old_workbook(eb: Any, tmp_path: Path) -> None:
    path = eb.summary().to_excel(tmp_path / "fit.xlsx")
    before = path.read_bytes()
    with full_disk(1000), pytest.raises(FileError, match="cannot be written"):
        eb.summary().to_excel(path)
    assert path.read_bytes() == before
