"""Names in any script are drawn with the fonts of the machine that have their characters."""

from __future__ import annotations

import io
import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

import bayesmix as bmx
from bayesmix.results.plots import fonts

CJK = "中文学校"
NOWHERE = "\U000e0fff"  # belongs to no script


def _characters(families: tuple[str, ...]) -> set[int]:
    paths = [findfont(FontProperties(family=[name])) for name in families]
    return {code for path in paths for code in FT2Font(path).get_charmap()}


def _has(text: str) -> bool:
    """Whether some font of the machine has all characters."""
    return all(any(ord(c) in own for _, own in fonts._installed()) for c in text)


def test_latin_names_keep_their_font() -> None:
    family = tuple(mpl.rcParams["font.family"])
    for text in ("plain", "Zürich", "Αθήνα", "Москва", "50 % ± µ"):
        assert fonts.with_glyphs(text, family) == family
        assert fonts.readable(text, family) == text


def test_what_one_font_lacks_comes_from_another_that_matplotlib_brings() -> None:
    letters = "\u1d81\u1d84"  # letters with hooks, which STIX has
    family = ("DejaVu Sans",)
    assert fonts.readable(letters, family) == "\\u1d81\\u1d84"
    found = fonts.with_glyphs("ab" + letters, family)
    assert found[0] == "DejaVu Sans"
    assert {ord(c) for c in letters} <= _characters(found)
    assert fonts.readable(letters, found) == letters


@pytest.mark.skipif(not _has(CJK), reason="no font here has Chinese characters")
def test_other_scripts_take_a_font_that_has_them() -> None:
    family = tuple(mpl.rcParams["font.family"])
    found = fonts.with_glyphs("school " + CJK, family)
    assert found[: len(family)] == family
    assert len(found) == len(family) + 1
    assert {ord(c) for c in CJK} <= _characters(found)
    assert fonts.readable(CJK, found) == CJK


def test_what_no_font_has_is_written_by_its_code_point(monkeypatch: Any) -> None:
    monkeypatch.setattr(fonts, "_installed", tuple)
    family = ("DejaVu Sans",)
    assert fonts.with_glyphs("中 a", family) == family
    assert fonts.readable("中 a文", family) == "\\u4e2d a\\u6587"
    assert fonts.readable("\U0002000b", family) == "\\U0002000b"


@pytest.fixture(scope="module")
def fit() -> bmx.Fit:
    rng = np.random.default_rng(1)
    schools = np.array(["北京", "東京", "서울", "กรุงเทพ", "ठाणे", "plain"])[np.arange(60) % 6]
    data = pd.DataFrame({"y": rng.normal(size=60), "時間": rng.normal(size=60), "学校": schools})
    data["f"] = np.array(["甲", "乙"])[rng.integers(0, 2, 60)]
    return bmx.Model("y ~ 時間 + f + (1 | 学校)", data).fit_eb()


@pytest.mark.parametrize("alone", [False, True])
def test_no_picture_has_boxes(fit: Any, alone: bool, monkeypatch: Any, caplog: Any) -> None:
    if alone:
        monkeypatch.setattr(fonts, "_installed", tuple)
    pictures = [
        fit.plot_fixed_effects(), fit.plot_group_effects(), fit.plot_predictions("時間", by="f"),
        fit.plot_variance_components(labels={"学校": "学 校"}),
        fit.marginal_means("f").plot(), fit.check(),
    ]  # fmt: skip
    for figure in pictures:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure.savefig(io.BytesIO(), format="png")
        written = [text for text in figure.findobj(Text) if not text.get_text().isascii()]
        for text in written:
            wanted = {ord(c) for c in text.get_text() if not c.isspace()}
            assert wanted <= _characters(tuple(text.get_fontfamily()))
        assert written or alone
    assert caplog.text == ""
    shown = [t.get_text() for t in pictures[1].findobj(Text)]
    assert len({t for t in shown if t}) >= 6  # the levels are told apart
