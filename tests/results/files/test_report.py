"""A report is what a browser shows without a network."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.errors import FileError
from bayesmix.results.files.mathml import equation_html
from bayesmix.results.tabular.text import cell
from tests.builders import fake_posterior, non_normal

HOSTILE = "<img src=x onerror=window.ran=1> & <script>window.ran=1</script>"
# What the page looks like, written into the page itself.
_PROBE = """<script>window.addEventListener("load", () => {
const box = e => { const r = e.getBoundingClientRect(); return [r.width, r.height]; };
const all = s => [...document.querySelectorAll(s)];
const found = {
  ran: window.ran === undefined ? 0 : 1,
  headings: all("h1, h2").map(e => e.textContent),
  text: document.body.innerText,
  images: all("img").map(e => [e.naturalWidth, e.naturalHeight, e.alt]),
  math: all("math").map(box), mathText: all("math").map(e => e.textContent),
  overflow: document.documentElement.scrollWidth - window.innerWidth,
  fetched: performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length,
  tables: all("table").map(t => [...t.rows].map(r => [...r.cells].map(c => c.textContent))),
};
document.documentElement.innerHTML = "";
document.documentElement.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
});</script>"""


@pytest.fixture(scope="session")
def browser() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("neither Chromium nor Chrome is on the PATH (Debian: apt-get install chromium)")
    return found


def seen(browser: str, page: Path, folder: Path, width: int = 1000) -> dict[str, Any]:
    """Open a page in headless Chromium, without a network, and say what it shows."""
    copy = folder / "probed.html"
    copy.write_text(
        page.read_text(encoding="utf-8").replace("</body>", _PROBE + "</body>"), "utf-8"
    )
    run = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage", "--dump-dom",
         f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900",
         "--host-resolver-rules=MAP * ~NOTFOUND", copy.as_uri()],
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    content = re.sub(r"<[^>]*>", "", run.stdout.decode("utf-8")).strip()
    shown: dict[str, Any] = json.loads(base64.b64decode(content))
    return shown


def test_a_browser_shows_the_whole_report(
    browser: str, data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    post = fake_posterior(bmx.Model("y ~ x + f + (x | g) + (1 | h)", data), rng)
    page = post.report(tmp_path / "report.html")
    shown = seen(browser, page, tmp_path)
    assert shown["headings"] == [
        "y ~ x + f + (x | g) + (1 | h)", "Model", "Methods", "Estimates", "Pictures",
        "Group effects", "To reproduce this",
    ]  # fmt: skip
    assert shown["fetched"] == 0
    assert shown["overflow"] <= 0
    for width, height, title in shown["images"]:
        assert width > 300
        assert height > 100
        assert title
    titles = [title for _, _, title in shown["images"]]
    assert {"Group effects of g", "Group effects of h", "Predictive checks"} <= set(titles)
    assert all(width > 3 and height > 3 for width, height in shown["math"])
    assert any("Normal" in text for text in shown["mathText"]), shown["mathText"]
    rows = [row for table in shown["tables"] for row in table]
    for term, estimate in zip(
        *(post.fixed_effects()[c] for c in ("term", "estimate")), strict=True
    ):
        assert any(row[:2] == [term, cell(estimate)] for row in rows)
    for parameter, prior in zip(
        *(post.model.priors[c] for c in ("parameter", "prior")), strict=True
    ):
        assert any(row[:2] == [parameter, prior] for row in rows)
    # Folded away, the group effects are all there.
    assert sum(row[:2] == ["g", "a"] for row in rows) == 2
    assert "smallest ESS" in shown["text"]
    assert "seed" in shown["text"]


@pytest.mark.usefixtures("one_picture")
def test_names_are_names_and_not_markup(
    browser: str, data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    data = data.rename(columns={"x": HOSTILE}).replace({"g": {"a": HOSTILE}})
    post = fake_posterior(bmx.Model(f"y ~ `{HOSTILE}` + (`{HOSTILE}` | g)", data), rng)
    shown = seen(browser, post.report(tmp_path / "report.html"), tmp_path, width=500)
    assert shown["ran"] == 0
    assert shown["fetched"] == 0
    assert shown["overflow"] <= 0
    assert any(HOSTILE in text for text in shown["mathText"])
    cells = {value for table in shown["tables"] for row in table for value in row}
    assert HOSTILE in cells


def check_page(fit: bmx.Fit, path: Path) -> None:
    page = fit.report(path).read_text(encoding="utf-8")
    assert html.escape(fit.model.formula.text) in page
    assert "<math" in page
    assert "<pre>" not in page
    assert "<img" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_fits_of_categories_and_estimates_have_a_report_with_all_pictures(
    data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    check_page(non_normal("cumulative", "size ~ x + (1 | g)", data, rng), tmp_path / "a.html")
    estimates = bmx.Model("won ~ x + (1 | g)", data, family="bernoulli").fit_eb()
    check_page(estimates, tmp_path / "b.html")


@pytest.mark.usefixtures("one_picture")
def test_every_kind_of_fit_has_a_report(
    data: pd.DataFrame, rng: np.random.Generator, tmp_path: Path
) -> None:
    fits: list[bmx.Fit] = [
        non_normal("binomial", "proportion(count, n) ~ x + (1 | g)", data, rng),
        fake_posterior(bmx.Model("y ~ x", data), rng),
        bmx.Model("y ~ x + (x | g)", data).fit_eb(),
    ]
    for fit in fits:
        check_page(fit, tmp_path / "report.html")


def test_an_equation_that_cannot_be_read_stays_latex() -> None:
    assert equation_html("\\begin{aligned}\nx_1_2 &< 1\n\\end{aligned}") == (
        "<pre>\\begin{aligned}\nx_1_2 &amp;&lt; 1\n\\end{aligned}</pre>"
    )


def test_a_report_needs_a_place(data: pd.DataFrame, tmp_path: Path) -> None:
    eb = bmx.Model("y ~ x + (1 | g)", data).fit_eb()
    with pytest.raises(FileError, match=r"ends in \.html"):
        eb.report(tmp_path / "report.pdf")
    with pytest.raises(FileError, match="no folder"):
        eb.report(tmp_path / "nowhere" / "report.html")
