"""`Scenario` and `simulate`: responses from a model that is stated by numbers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.arguments import checked_seed, whole_number
from bayesmix.covariance import covariance_of
from bayesmix.errors import ArgumentError, BayesmixWarning, FormulaError
from bayesmix.families import get_family
from bayesmix.formula import parse_formulas
from bayesmix.laws.draws import DrawsLaw
from bayesmix.laws.levels import covariance_roots
from bayesmix.laws.request import PredictionRequest
from bayesmix.laws.rows import rows_of_fit
from bayesmix.laws.values import Values
from bayesmix.memory import check_memory
from bayesmix.model import Model
from bayesmix.simulation.parameters import given_numbers, parameters_from, values_at

if TYPE_CHECKING:
    from bayesmix.families import Family
    from bayesmix.formula import Formula, Piece
    from bayesmix.results.fit import Fit

__all__ = ["Scenario", "simulate"]

_THRESHOLD = re.compile(r"thresholds\[(.+)\|(.+)\]")


class Scenario:
    """A model whose parameters are numbers, over a frame that need not have a response.

    Parameters
    ----------
    formula : str or sequence of str
        As of `Model`.
    data : pandas, polars or pyarrow table
        With the predictors and the grouping factors, such as `design` makes. Where the column of
        the response is not there it is added.
    parameters : mapping of str to float
        Every parameter by the name that the tables have for it: coefficients by their terms
        (``"Days"``), ``"sd(Subject, Days)"``, ``"corr(Subject, Intercept, Days)"``, ``"sigma"``
        and the family's others, those of structures (``"rho(Subject)"``, ``"rho_residual"``),
        and ``"zi_beta(x)"`` of other linear predictors. ``"sd(Subject)"`` and
        ``"corr(Subject)"`` will do where there is one.
    family : str or Family
    **model
        Further arguments of `Model`, such as `weights` or `matrices`.

    Attributes
    ----------
    model : Model
        The model, whose response is a placeholder where the data had none.
    data : DataFrame

    Raises
    ------
    ArgumentError
        If a parameter is missing, unknown or not possible; the message lists what is needed.
    FormulaError, DataError
        As `Model`.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> frame = bmx.design(subject=20, day=range(5))
    >>> numbers = {"Intercept": 250, "day": 10, "sd(subject)": 30, "sigma": 25}
    >>> scenario = bmx.Scenario("rt ~ day + (1 | subject)", frame, numbers)
    >>> scenario.simulate(seed=1).shape
    (100, 3)
    """

    def __init__(
        self,
        formula: str | Sequence[str],
        data: Any,
        parameters: Mapping[str, float],
        family: str | Family = "gaussian",
        **model: Any,
    ) -> None:
        frame = _as_frame(data)
        self.family = get_family(family)
        self._response, self.data = _with_response(formula, frame, self.family, parameters)
        with warnings.catch_warnings():  # they are of a response that means nothing
            warnings.simplefilter("ignore", BayesmixWarning)
            self.model = Model(formula, self.data, family=self.family, **model)
        self._values = parameters_from(self.model, parameters)
        self._varies = False

    @classmethod
    def of_fit(cls, fit: Fit) -> Scenario:
        """Take the numbers of a fit: its estimates, or draws of a posterior one after the other.

        Parameters
        ----------
        fit : EmpiricalBayes or Posterior

        Returns
        -------
        Scenario
            Over the complete rows of the fit's data, in the columns that it used.

        Raises
        ------
        ArgumentError
            If the left-hand side is no column, into which a response could be put.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> sleep = bmx.load_dataset("sleepstudy")
        >>> eb = bmx.Model("Reaction ~ Days + (1 | Subject)", sleep).fit_eb()
        >>> sorted(bmx.Scenario.of_fit(eb).parameters)
        ['Days', 'Intercept', 'sd(Subject, Intercept)', 'sigma']
        """
        found = object.__new__(cls)
        model: Any = fit.model
        found.model, found.family = model, model.family
        found.data = model.design.frame.reset_index(drop=True)
        found._response = _response_columns(str(model.formula), model.formula)
        found._values = fit._law.values
        found._varies = found._values.beta.ndim > 1
        return found

    @property
    def parameters(self) -> dict[str, float]:
        """Every parameter by name; of a posterior's draws the means."""
        values = self._values
        if self._varies:
            values = _means(values)
        return given_numbers(self.model, values)

    def simulate(self, n: int = 1, *, seed: int | None = None) -> pd.DataFrame:
        """Draw responses, with group effects of their own each.

        Parameters
        ----------
        n : int
            Number of data sets.
        seed : int, optional
            A new one each time by default.

        Returns
        -------
        DataFrame
            The data with the response in its column. Of several data sets these are below each
            other, and the first column, ``simulation``, numbers them from 1.

        Raises
        ------
        ArgumentError
            If `n` is no positive whole number.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> numbers = {"Intercept": 1, "sd(g)": 0.5}
        >>> scenario = bmx.Scenario("k ~ 1 + (1 | g)", bmx.design(g=5, r=2), numbers, "poisson")
        >>> scenario.simulate(3, seed=1).shape
        (30, 4)
        """
        n = whole_number("n", n, 1)
        check_memory(
            f"n={n} data sets", 2 * n * self.data.shape[0] * (self.data.shape[1] + 2),
            "draw them some at a time, each with a seed of its own",
        )  # fmt: skip
        number = np.random.default_rng().integers(2**31) if seed is None else checked_seed(seed, 0)
        frames = [self.frame_with(self.response((int(number), k), k)) for k in range(n)]
        if n == 1:
            return frames[0]
        numbered = np.repeat(np.arange(1, n + 1), len(self.data))
        whole = pd.concat(frames, ignore_index=True)
        name = "simulation" if "simulation" not in whole.columns else "simulation_"
        whole.insert(0, name, numbered)
        return whole

    def __repr__(self) -> str:
        numbers = "\n".join(f"  {name} = {value:g}" for name, value in self.parameters.items())
        head = "means of draws" if self._varies else "with"
        return f"{self.model.formula}\n  {', '.join(self.model.facts())}\n{head}\n{numbers}"

    # -- inside ---------------------------------------------------------------

    def response(self, seed: tuple[int, ...], k: int = 0) -> np.ndarray:
        """Draw one response in numbers.

        Parameters
        ----------
        seed : tuple of int
        k : int
            Which draw of a posterior the numbers are.

        Returns
        -------
        ndarray, shape (n,), or (n, K) of counts of categories

        Raises
        ------
        NotSupportedError
            For more rows than memory holds.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> scenario = bmx.Scenario("y ~ 1", bmx.design(x=5), {"Intercept": 1, "sigma": 1})
        >>> scenario.response((1, 2)).shape
        (5,)
        """
        values = values_at(self._values, k) if self._varies else self._values
        rng = np.random.default_rng(seed)
        model = self.model
        parts = {
            name: _law_of(model, name, own, rng)
            for name, own in {"mu": values, **values.others}.items()
        }
        law = replace(parts.pop("mu"), others=parts)
        rows = rows_of_fit(model, "response")
        request = PredictionRequest(kind="response")
        predictor = law.predictor(rows, request, None, int(rng.integers(2**31)))
        return predictor.block(0, slice(0, rows.n_rows))[:, 0]

    def frame_with(self, y: np.ndarray) -> pd.DataFrame:
        """Put a response in numbers into its column.

        Parameters
        ----------
        y : ndarray, shape (n,) or (n, K)

        Returns
        -------
        DataFrame

        Raises
        ------
        ValueError
            If there are other rows in the data.

        Examples
        --------
        >>> import numpy as np
        >>> import bayesmix as bmx
        >>> scenario = bmx.Scenario("y ~ 1", bmx.design(x=2), {"Intercept": 1, "sigma": 1})
        >>> scenario.frame_with(np.array([3.0, 4.0]))["y"].tolist()
        [3.0, 4.0]
        """
        categories = self.model.family.categories(self.model.design.response)
        values: Any = y
        if self.family.has_counts:
            return self.data.assign(**dict(zip(self._response, y.astype(np.int64).T, strict=True)))
        if categories:
            values = _categories(
                y.astype(np.int64) - 1, list(categories), ordered=not self.model.family.is_nominal
            )
        elif self.family.discrete:
            values = y.astype(np.int64)
        return self.data.assign(**{self._response[0]: values})

    def over(self, data: pd.DataFrame) -> Scenario:
        """Take the same numbers for other rows.

        Parameters
        ----------
        data : DataFrame
            With the response's column, whose values do not matter.

        Returns
        -------
        Scenario

        Raises
        ------
        DataError
            If the data do not fit what the model learned from its own.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> scenario = bmx.Scenario("y ~ 1", bmx.design(x=5), {"Intercept": 1, "sigma": 1})
        >>> len(scenario.over(scenario.data.head(3)).simulate(seed=1))
        3
        """
        found = object.__new__(type(self))
        vars(found).update(vars(self))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BayesmixWarning)
            found.model = self.model.update(data=data)
        found.data = data
        return found


def simulate(
    formula: str | Sequence[str],
    data: Any,
    parameters: Mapping[str, float],
    family: str | Family = "gaussian",
    *,
    seed: int | None = None,
    n: int = 1,
    **model: Any,
) -> pd.DataFrame:
    """Draw responses from a model that is stated by numbers.

    Parameters
    ----------
    formula, data, parameters, family
        As of `Scenario`.
    seed : int, optional
        A new one each time by default.
    n : int
        Number of data sets.
    **model
        Further arguments of `Model`.

    Returns
    -------
    DataFrame
        As `Scenario.simulate` returns it.

    Raises
    ------
    ArgumentError
        If a parameter is missing, unknown or not possible; the message lists what is needed.
    FormulaError, DataError
        As `Model`.

    Examples
    --------
    >>> import bayesmix as bmx
    >>> sleep = bmx.simulate(
    ...     "rt ~ day + (day | subject)", bmx.design(subject=20, day=range(10)),
    ...     {"Intercept": 251, "day": 10.5, "sd(subject, Intercept)": 24.7,
    ...      "sd(subject, day)": 5.9, "corr(subject, Intercept, day)": 0.07, "sigma": 25.6},
    ...     seed=1,
    ... )
    >>> bmx.Model("rt ~ day + (day | subject)", sleep).fit_eb().singular
    ''
    """
    return Scenario(formula, data, parameters, family, **model).simulate(n, seed=seed)


def _law_of(model: Model, parameter: str, values: Values, rng: np.random.Generator) -> DrawsLaw:
    """One draw of a linear predictor's parameters, with group effects."""
    predictor = model.design.predictors[parameter]
    b = {}
    for group in predictor.groups:
        R = values.corr.get(group.name)
        root = covariance_roots(values.sd[group.name][None], None if R is None else R[None])[0]
        u = rng.standard_normal((group.n_levels, group.n_effects))
        if group.between is not None:
            u = group.between.root @ u
        if covariance_of(group).is_student:
            df = float(values.structure[group.name]["df"])
            u = u / np.sqrt(rng.chisquare(df, (group.n_levels, 1)) / df)
        b[group.name] = (u @ root.T)[None, None]
    return DrawsLaw(
        model=model,
        parameter=parameter,
        beta=values.beta[None, None],
        sd=_as_draw(values.sd),
        corr=_as_draw(values.corr),
        b=b,
        labels=(np.arange(1), np.arange(1)),
        parameters=_as_draw(values.parameters),
        structure={g: _as_draw(own) for g, own in values.structure.items()},
    )


def _as_draw(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value)[None, None] for name, value in given.items()}


def _means(values: Values) -> Values:
    def some(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: v.mean(axis=(0, 1)) for name, v in given.items()}

    return Values(
        beta=values.beta.mean(axis=(0, 1)), sd=some(values.sd), corr=some(values.corr),
        parameters=some(values.parameters),
        structure={g: some(own) for g, own in values.structure.items()},
        others={name: _means(own) for name, own in values.others.items()},
    )  # fmt: skip


def _as_frame(data: Any) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data.reset_index(drop=True)
    import narwhals as nw

    return nw.from_native(data, eager_only=True).to_pandas().reset_index(drop=True)


def _categories(
    codes: np.ndarray, categories: list[Any], *, ordered: bool = True
) -> pd.Categorical[Any]:
    return pd.Categorical.from_codes(codes, categories=pd.Index(categories), ordered=ordered)


def _response_columns(text: str, formula: Formula) -> tuple[str, ...]:
    """The columns of the response: one, or that of each count."""
    pieces = formula.counts or (formula.response,)
    return tuple(_response_column(text, piece) for piece in pieces)


def _response_column(formula: str, piece: Piece) -> str:
    if not piece.expr.isidentifier():  # as names between backquotes are, too
        raise ArgumentError(
            f"`{piece.text}` of `{formula}` is no column, and a response that is drawn has to be "
            "put into one; transform the data and name the new column"
        )
    return piece.text


def _with_response(
    formula: str | Sequence[str], frame: pd.DataFrame, family: Family, parameters: Any
) -> tuple[tuple[str, ...], pd.DataFrame]:
    """The columns of the response, and the frame with a placeholder where it has none."""
    first = formula if isinstance(formula, str) else formula[0]
    read = parse_formulas(first)["mu"]
    columns, n = _response_columns(first, read), len(frame)
    if all(c in frame.columns and frame[c].notna().all() for c in columns):
        return columns, frame
    if read.counts:
        total = read.extras["trials"].text
        if total not in frame.columns:
            raise ArgumentError(
                f"counts are drawn for given totals: write cbind(...) | trials(n) ~ ... and add a "
                f"column of them to the data, which have no `{total}`"
            )
        # All of them are of the reference.
        first_of = {c: frame[total] if c == columns[0] else 0 for c in columns}
        return columns, frame.assign(**first_of)
    name = columns[0]
    if family.replaces_intercept:
        between = [_THRESHOLD.fullmatch(str(p)) for p in parameters]
        levels = list(dict.fromkeys(x for m in between if m for x in (m[1], m[2])))
        if not levels:
            raise ArgumentError(
                f"parameters= has no thresholds, which name the categories of `{name}`: "
                "'thresholds[low|mid]', 'thresholds[mid|high]'"
            )
        return columns, frame.assign(**{name: _categories(np.arange(n) % len(levels), levels)})
    if family.is_nominal:
        raise ArgumentError(
            f"the data have no column `{name}`, from which the {family.name} family reads its "
            "categories; add one that has each of them"
        )
    rng = np.random.default_rng(0)
    whole = [np.arange(n) % 2, 1 + np.arange(n) % 2]
    real = [rng.normal(size=n), rng.uniform(0.2, 0.8, n), 0.5 + rng.exponential(size=n)]
    if family.mean_is_fraction and not family.discrete:
        real = [real[1]]
    for values in whole if family.discrete else real:
        if family.possible(values.astype(float))[0].all():
            return columns, frame.assign(**{name: values})
    raise FormulaError(
        f"the {family.name} family needs a response in the data to simulate from it: add a column "
        f"`{name}` of values that are possible"
    )
