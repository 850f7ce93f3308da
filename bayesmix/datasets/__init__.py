"""The small data sets that ship with the package."""

from __future__ import annotations

import importlib.resources

import pandas as pd

from bayesmix.answering import answering
from bayesmix.arguments import did_you_mean
from bayesmix.errors import DataError

__all__ = ["DATASETS", "load_dataset"]

# What each holds, and the columns that are categories although they may look like numbers.
DATASETS: dict[str, str] = {
    "penicillin": "yield of four treatments in five blends of raw material (20 rows)",
    "pulp": "brightness of pulp made by four operators (20 rows)",
    "sleepstudy": "reaction times over ten days of sleep deprivation, 18 subjects (180 rows)",
}
_TEXT = {"sleepstudy": ["Subject"]}


@answering
def load_dataset(name: str) -> pd.DataFrame:
    """Load a data set that ships with the package.

    Parameters
    ----------
    name : {"penicillin", "pulp", "sleepstudy"}

    Returns
    -------
    DataFrame
        A new frame at each call.

    Raises
    ------
    DataError
        If there is no data set of that name.

    References
    ----------
    sleepstudy: Belenky et al. (2003), Journal of Sleep Research 12, 1-12; in ms.
    penicillin and pulp: Faraway (2006), Extending the Linear Model with R.

    Examples
    --------
    >>> load_dataset("sleepstudy").shape
    (180, 3)
    """
    if name not in DATASETS:
        advice = did_you_mean(name, DATASETS)
        raise DataError(f"there is no data set {name!r}; {advice}known: {', '.join(DATASETS)}")
    source = importlib.resources.files(__name__).joinpath(f"{name}.csv")
    with source.open("r", encoding="utf-8") as file:
        return pd.read_csv(file, dtype=dict.fromkeys(_TEXT.get(name, []), str))
