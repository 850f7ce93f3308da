"""What other packages call the arguments and results of marginal means."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["OF_CONTRASTS", "OF_MARGINAL_MEANS", "OF_MEANS", "OF_TRENDS"]

_KIND = 'kind="linear", "mean", "back_transformed" or "probability"'


def _renamed(names: Mapping[str, str]) -> dict[str, str]:
    return {name: f"has no {name}=; take {ours}" for name, ours in names.items()}


_OF_BOTH = {
    "adjust": "contrasts(adjust=...)", "alpha": "ci_prob=", "conf_level": "ci_prob=",
    "data": "at=, or predictions(data=...), which averages over rows", "infer": "table",
    "level": "ci_prob=", "mode": _KIND, "newdata": "at=", "regrid": 'kind="mean"', "scale": _KIND,
    "specs": "factors= and by=", "transform": _KIND, "type": _KIND, "wts": "weights=",
}  # fmt: skip
OF_MARGINAL_MEANS: Mapping[str, str] = _renamed(
    {**_OF_BOTH, "variables": "factors= and by=", "rope": "contrasts(rope=...)"}
)
OF_TRENDS: Mapping[str, str] = _renamed(
    {**_OF_BOTH, "var": "variable=", "variables": "variable=", "delta_var": "no step"}
)
OF_CONTRASTS: Mapping[str, str] = _renamed(
    {
        "alpha": "ci_prob=", "contrast": "kind=", "level": "ci_prob=", "method": "kind=",
        "ref": "reference=", "reverse": "a dict of weights", "simple": "by=", "side": "table",
        "type": 'marginal_means(kind="back_transformed")',
    }
)  # fmt: skip
# Attributes of the result.
OF_MEANS: Mapping[str, str] = {
    "cld": "letters()",
    "columns": "table.columns",
    "confint": "the columns lower and upper of table",
    "contrast": "contrasts()",
    "head": "table.head()",
    "iloc": "table.iloc",
    "loc": "table.loc",
    "pairs": 'contrasts("pairwise")',
    "pwpm": 'contrasts("pairwise")',
    "regrid": 'marginal_means(kind="mean")',
    "summary": "table",
    "test": "table, or joint_test()",
    "to_csv": "table.to_csv()",
    "to_frame": "table",
}
