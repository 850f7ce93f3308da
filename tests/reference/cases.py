"""The published cases as data and formulas."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bmx
from bayesmix import families

REML_CASES = [
    "sleepstudy_slopes", "sleepstudy_int", "sleepstudy_uncor", "gpa_int", "gpa_slope",
    "gpa_slope_sex", "pupils_crossed", "nurses_nested", "irrigation", "irrigation_add", "pulp",
    "penicillin", "rats", "wateruse_diag",
]  # fmt: skip
FULL = "~ x + (x | g) + (1 | h)"
GLMM_CASES: dict[str, tuple[str, Any]] = {
    "poisson": (f"count {FULL}", "poisson"),
    "poisson sqrt": ("count ~ x + (1 | g)", families.Poisson(link="sqrt")),
    "binomial": (f"proportion(k, trials) {FULL}", "binomial"),
    "binomial probit": (f"proportion(k, trials) {FULL}", families.Binomial(link="probit")),
    "bernoulli cloglog": ("bin ~ x + (1 | g)", families.Bernoulli(link="cloglog")),
    "negative_binomial": (f"over {FULL}", "negative_binomial"),
    "gamma": (f"pos {FULL}", "gamma"),
    "beta": (f"frac {FULL}", "beta"),
}


def load(case: dict[str, Any], folder: Path) -> pd.DataFrame:
    """Data of a case, with its levels and derived columns."""
    data = pd.read_csv(folder / "data" / case["data"])
    for column, levels in case.get("levels", {}).items():
        data[column] = pd.Categorical(data[column].astype(str), categories=levels)
    if case["data"] == "rats.csv":
        data["t"] = np.log(1 + (data["age"] - 45) / 10)
    if case["data"] == "wateruse.csv":
        data = data.query("age == 'A2' and species == 'S2' and day != 268").copy()
        data["ti"] = data["day"] / 100
        data["ti2"] = data["ti"] ** 2
    return data


def model_of(case: dict[str, Any], folder: Path) -> bmx.Model:
    """Model of a case; rows with missing values are dropped without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bmx.errors.DataWarning)
        return bmx.Model(case["formula"], load(case, folder))
