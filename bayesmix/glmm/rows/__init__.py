"""Log densities of the rows and their first two derivatives in the linear predictor.

One kernel for each family, with one signature, so that Laplace's approximation
and NUTS call any of them by its address. Constants that depend on the data alone
are left out; `constant` gives them. Each file here has the kernels of the families
in the file of its name in `bayesmix.families`; those of hurdles and of
`disc` stand apart, and `joint.py` has
rows that several kernels share.

Where further parameters of a family have linear predictors, `JOINT_KERNELS` has its kernel:
the same signature, derivatives in all m of them (`each.py`).
"""

from bayesmix.glmm.rows import (
    angles,
    counts,
    disc,
    hurdle,
    inflated,
    joint,
    nominal,
    ordbeta,
    ordinal,
    positive,
    proportions,
    real,
    tweedie,
)
from bayesmix.glmm.rows.each import JOINT_KERNELS, link_of_mu, packed_links
from bayesmix.glmm.rows.kernels import ROW_KERNELS, RowKernel, call_rows, constant
from bayesmix.glmm.rows.links import LINKS, unit_of_eta
from bayesmix.glmm.rows.nominal import counted_rows
from bayesmix.glmm.rows.observed import OBSERVED_KERNELS, given_rows

__all__ = [
    "JOINT_KERNELS",
    "LINKS",
    "OBSERVED_KERNELS",
    "ROW_KERNELS",
    "RowKernel",
    "angles",
    "call_rows",
    "constant",
    "counted_rows",
    "counts",
    "disc",
    "given_rows",
    "hurdle",
    "inflated",
    "joint",
    "link_of_mu",
    "nominal",
    "ordbeta",
    "ordinal",
    "packed_links",
    "positive",
    "proportions",
    "real",
    "tweedie",
    "unit_of_eta",
]
