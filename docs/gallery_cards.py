"""The gallery's cards: of each notebook its title, its question and its last picture."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path
from typing import Any

__all__ = ["write"]


def _told(cells: list[dict[str, Any]]) -> tuple[str, str]:
    """Title of a notebook, and what it begins with."""
    title, _, rest = "".join(cells[0]["source"]).partition("\n")
    first = rest.strip().split("\n\n")[0]
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]", r"\1", " ".join(first.split()))
    plain = re.sub(r" \([^)]*\)", "", plain)  # where it comes from
    sentences = re.split(r"(?<=[.?:]) (?=[A-Z])", plain)
    return title.lstrip("# "), sentences[0]


def _picture(cells: list[dict[str, Any]]) -> bytes | None:
    """The last picture, or that of the cell with the tag "thumbnail"."""
    chosen: str | None = None
    for cell in cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                chosen = output["data"]["image/png"]
                if "thumbnail" in cell["metadata"].get("tags", []):
                    return base64.b64decode(chosen)
    return None if chosen is None else base64.b64decode(chosen)


def write(notebooks: list[Path], page: Path, pictures: Path) -> None:
    """Write the cards as a piece of HTML that the gallery includes, and their pictures.

    Parameters
    ----------
    notebooks : list of Path
    page : Path
    pictures : Path
        A folder of the site's static files.
    """
    pictures.mkdir(exist_ok=True)
    cards = []
    for notebook in notebooks:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        title, first = _told(cells)
        image = ""
        if (content := _picture(cells)) is not None:
            (pictures / f"{notebook.stem}.png").write_bytes(content)
            image = f'<img src="_static/{pictures.name}/{notebook.stem}.png" alt="" loading="lazy">'
        cards.append(
            f'<a class="card-of-story" href="gallery/{notebook.stem}.html">{image}'
            f"<strong>{html.escape(title)}</strong><span>{html.escape(first)}</span></a>\n"
        )
    page.write_text(f'<div class="stories">\n{"".join(cards)}</div>\n', encoding="utf-8")
