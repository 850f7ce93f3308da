"""The data that ship with the package are the published ones."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pandas as pd
import pytest

import bayesmix as bmx
from bayesmix.datasets import DATASETS
from bayesmix.errors import DataError


@pytest.mark.parametrize("name", DATASETS)
def test_each_is_the_reference_file(name: str, reference_folder: Path) -> None:
    published = pd.read_csv(reference_folder / "data" / f"{name}.csv")
    ours = bmx.load_dataset(name)
    assert list(ours.columns) == list(published.columns)
    pd.testing.assert_frame_equal(ours.astype(str), published.astype(str))


def test_no_other_data_are_shipped() -> None:
    """Data sets may be given away with the package only where their licence says so."""
    files = {file.name for file in importlib.resources.files("bayesmix.datasets").iterdir()}
    assert {name for name in files if name.endswith(".csv")} == {f"{name}.csv" for name in DATASETS}
    assert set(DATASETS) == {"penicillin", "pulp", "sleepstudy"}


def test_subjects_are_text_not_numbers() -> None:
    assert bmx.load_dataset("sleepstudy")["Subject"].iloc[0] == "308"


def test_each_call_returns_a_new_frame() -> None:
    first = bmx.load_dataset("pulp")
    first["bright"] = 0
    assert (bmx.load_dataset("pulp")["bright"] > 0).all()


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(DataError, match="did you mean 'sleepstudy'"):
        bmx.load_dataset("sleep_study")
    with pytest.raises(DataError, match=r"'rats'; known: penicillin, pulp, sleepstudy$"):
        bmx.load_dataset("rats")
