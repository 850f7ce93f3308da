"""What formulas, family and data go together: refused by name where they do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from bayesmix.arguments import did_you_mean
from bayesmix.errors import ArgumentError, FormulaError, NotSupportedError
from bayesmix.families import Family
from bayesmix.families.left_hand_side import as_proportion
from bayesmix.formula import Formula
from bayesmix.statement.specification import Specification

if TYPE_CHECKING:
    from bayesmix.families.gaussian import Gaussian

__all__ = ["check_predictors", "check_residual_formula", "check_streamed", "with_row_data"]


def check_residual_formula(
    formula: Formula, family: Family, others: Mapping[str, Formula], residual: Formula | None
) -> None:
    """Refuse a formula of the residual that can be read and not be stated.

    Parameters
    ----------
    formula : Formula
        The response's.
    family : Family
    others : mapping of str to Formula
        By parameter of the family.
    residual : Formula or None

    Raises
    ------
    NotSupportedError
    """
    if residual is None:
        return
    if residual.groups[0].structure == "us" and "sigma" in others:
        raise NotSupportedError(
            "`residual ~ us(...)` has a standard deviation for each place, and there is no "
            "sigma beside; leave its formula out, or take another structure"
        )
    plain = "status" not in formula.extras and "exponent" not in formula.extras
    plain = plain and not {"lower", "upper", "event"} & set(formula.extras)
    word = residual.groups[0].structure
    if not family.is_linear_normal or not plain:
        raise NotSupportedError(
            f"`residual ~ {word}(...)` is for a normal response with an identity link, seen as "
            f"it is; the family is {family}: a group term, such as (1 | g), is what its "
            "rows may have in common"
        )


def check_streamed(
    family: Family, others: Sequence[str], specification: Specification, *, learns: bool
) -> None:
    """Refuse what data that are read in batches cannot have.

    Parameters
    ----------
    family : Family
    others : sequence of str
        What has formulas beside mu.
    specification : Specification
    learns : bool
        Whether the model learns from its own data.

    Raises
    ------
    NotSupportedError
    """
    what = ""
    if not (family.is_linear_normal or family.tables_rows):
        what = (
            f"the family {family}: of a normal response with an identity link sums are taken, and "
            "of one whose likelihood is a function of mu and numbers rows that are alike are one"
        )
    elif others:
        what = f"a formula of {others[0]}"
    elif not learns:
        what = 'what another model has learned: update(". ~ .", data=...) learns anew'
    elif specification.matrices is not None and specification.matrices.given:
        what = "matrices="
    if what:
        raise NotSupportedError(
            f"data that are read in batches cannot have {what}; read the columns that the "
            "model uses into a frame, as by pd.read_parquet(path, columns=[...])"
        )


def check_predictors(family: Family, formulas: Mapping[str, Formula]) -> None:
    """Check that what has a formula of its own is a parameter of the family.

    Raises
    ------
    FormulaError
        If the family has no such parameter, or the parameter must have an intercept.
    NotSupportedError
        If it is a vector.
    """
    for name, formula in formulas.items():
        if name not in family.parameters:
            known = [*family.parameters, *family.optional_parameters]
            known = [one for one in dict.fromkeys(known) if one not in family.vector_parameters]
            known += ["residual"] if family.is_linear_normal else []
            raise FormulaError(
                f"the {family.name} family has no parameter {name}; "
                f"{did_you_mean(name, known)}there is {', '.join(known) or 'none'}",
                text=formula.text,
                start=formula.response.start,
                stop=formula.response.stop,
            )
        if name in family.vector_parameters:
            raise NotSupportedError(f"{name} is a vector and has no linear predictor")
        if name in family.optional_parameters and not formula.has_intercept:
            raise FormulaError(
                f"{name} is 1 where its columns are zero, and the thresholds take the place of "
                "its intercept; take the 0 or -1 out",
                text=formula.text,
            )


def with_row_data(
    family: Family, formula: Formula, weights: Any, known_se: Any, others: Collection[str] = (),
    residual: Formula | None = None,
) -> Family:  # fmt: skip
    """Check that weights and standard errors belong to this family, and return which it becomes.

    Standard errors are all that there is of the residuals, unless a formula says more: then
    they stand beside a sigma, which has a predictor or is the residual structure's.
    """
    argument = "weights" if known_se is None else "known_se"
    if argument not in family.accepts:
        advice = ""
        if argument == "weights" and "trials" in family.needs and "trials" not in formula.extras:
            advice = (
                f"; trials stand on the left-hand side: {as_proportion(formula, weights)} ~ ..."
            )
        elif argument == "weights":
            advice = "; weighted(y, w) ~ ... is an exponent of any likelihood"
        raise NotSupportedError(f"{argument}= belongs to normal responses, not to {family}{advice}")
    if weights is not None and known_se is not None:
        raise ArgumentError("give weights= or known_se=, not both")
    if known_se is None:
        return family
    normal = cast("Gaussian", family)
    if "sigma" in others:
        return normal.beside_known_se()
    return family.with_known_se() if residual is None else normal.with_own_scale()
