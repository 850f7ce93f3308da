"""Fixtures shared by the tests."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayesmix as bmx
from tests.builders import nested_data


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240611)


@pytest.fixture(scope="session")
def sleepstudy() -> pd.DataFrame:
    return bmx.load_dataset("sleepstudy")


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """The published tables and their data, which do not ship with the package."""
    folder = os.environ.get("BAYESMIX_REFERENCE", "")
    if not folder or not Path(folder, "reference", "tutorial_tables.json").is_file():
        pytest.skip("BAYESMIX_REFERENCE does not name the folder of the reference tables")
    return Path(folder)


@pytest.fixture(scope="session")
def published(reference_folder: Path) -> dict[str, Any]:
    text = (reference_folder / "reference" / "tutorial_tables.json").read_text()
    tables: dict[str, Any] = json.loads(text)
    return tables


@pytest.fixture(scope="session")
def sleepstudy_posterior() -> bmx.Posterior:
    """One fit that many tests read: lme4's famous example under the default priors."""
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    return model.fit(seed=20240611, progress=False)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    import sys

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reports draw their first picture only, where the question is whether one is written."""
    from bayesmix.results.files.reporting import Reports

    whole = Reports._pictures
    monkeypatch.setattr(Reports, "_pictures", lambda fit: whole(fit)[:1])
    monkeypatch.setattr(bmx.Posterior, "_more_pictures", lambda _: [])


@pytest.fixture
def data(rng: np.random.Generator) -> pd.DataFrame:
    return nested_data(rng)
