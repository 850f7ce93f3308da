"""Log densities of the rows and their first two derivatives in the linear predictor.

One kernel for each family, with one signature, so that Laplace's approximation
and NUTS call any of them by its address. Constants that depend on the data alone
are left out; `constant` gives them. Each file here has the kernels of the families
in the file of its name in `bayesmix.families`.
"""

from bayesmix.glmm.rows import counts, positive, proportions, real
from bayesmix.glmm.rows.kernels import ROW_KERNELS, RowKernel, call_rows, constant
from bayesmix.glmm.rows.links import LINKS, unit_of_eta

__all__ = [
    "LINKS",
    "ROW_KERNELS",
    "RowKernel",
    "call_rows",
    "constant",
    "counts",
    "positive",
    "proportions",
    "real",
    "unit_of_eta",
]
