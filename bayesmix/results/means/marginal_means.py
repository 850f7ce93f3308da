"""`MarginalMeans`: averages over a reference grid, what they differ by, and how sure that is."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Unpack

import numpy as np
import pandas as pd

from bayesmix.answering import Answers
from bayesmix.arguments import check_probability, one_of
from bayesmix.results.means.comparing import contrasts_between, region_of
from bayesmix.results.means.contrast_weights import ContrastKind, level_text
from bayesmix.results.means.joint import joint_tests
from bayesmix.results.means.judged import Rope
from bayesmix.results.means.letters import compact_letters
from bayesmix.results.means.pairs import compared_pairs
from bayesmix.results.means.pictures import draw_contrasts, draw_means
from bayesmix.results.means.quantities import Quantities
from bayesmix.results.plots.look import Look, picture
from bayesmix.results.tabular.tables import text_column
from bayesmix.results.tabular.text import WIDTH, html_block, html_table, text_table, wrapped_title
from bayesmix.words_of_others import OF_MEANS

__all__ = ["MarginalMeans"]

_ADJUSTED = {"mvt": "the multivariate t", "tukey": "Tukey's studentized range"}


class MarginalMeans(Answers):
    """Averages over a reference grid, or their contrasts, with intervals and tests.

    Made by `marginal_means` and `trends` of a fit, and by `contrasts` of such means.

    Attributes
    ----------
    table : DataFrame
        The factors (of contrasts: contrast, and the factors within which they are), estimate,
        sd, lower, upper; of empirical Bayes df, t, p; of a posterior pd, the probability that
        the sign is that of most draws.
    factors, by : tuple of str
        Columns whose levels are compared, and within which they are.
    notes : list of str
        What is said below the table: scale, averages, intervals.
    why_nan : str
        Why some are NaN, in words; empty where none is.
    """

    def __init__(self, quantities: Quantities) -> None:
        self._own = quantities
        self.table = quantities.table()
        self.factors, self.by = quantities.factors, quantities.by
        self.why_nan = quantities.estimable.why()

    _signposts: ClassVar[Mapping[str, str]] = OF_MEANS

    def __len__(self) -> int:
        return len(self.table)

    # -- print ----------------------------------------------------------------

    def __str__(self) -> str:
        names = [name for name in (*self.factors, *self.by) if name in self.table.columns]
        shown = self.table.assign(**{name: self.table[name].map(level_text) for name in names})
        lines = [*wrapped_title(self._title()), text_table(shown, names)]
        for note in self.notes:
            lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self.notes)
        names = (*self.factors, *self.by)
        return html_block([html_table(self.table, self._title(), names=names), notes])

    def _title(self) -> str:
        own = self._own
        factors = [name for name in own.factors if name != "contrast"]
        preposition = "by" if " of " in own.what else "of"
        of = f" {preposition} {' and '.join(factors)}" if factors else ""
        return own.what + of + (f" within {' and '.join(own.by)}" if own.by else "")

    @property
    def notes(self) -> list[str]:
        """What is said below the table: scale, averages, intervals."""
        own = self._own
        notes = [f"Scale: {own.scale.words}.", *own.notes]
        how = f"Intervals are {100 * own.ci_prob:g} %"
        words = "; ".join(part for part in (how, own.judging.words) if part)
        if own.adjust is None:
            notes.append(f"{words}.")
        elif own.drawn:
            notes.append(f"{how}, for all of a family at once.")
        else:
            word = _ADJUSTED.get(own.adjust, own.adjust.capitalize())
            behind = ", intervals by Bonferroni" if own.adjust == "holm" else ""
            notes.append(f"{words}; adjusted by {word}{behind}.")
        if "pd" in self.table:
            notes.append("pd is the probability of the more likely sign.")
        if own.rope is not None:
            notes.append(f"rope is the probability of {own.rope[0]:g} to {own.rope[1]:g}.")
        if self.why_nan:
            notes.append(f"NaN is what the data do not determine: {self.why_nan}.")
        return notes

    # -- comparisons ----------------------------------------------------------

    def contrasts(
        self,
        kind: ContrastKind | Mapping[str, Any] = "pairwise",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = "auto",
        reference: Any = None,
        interaction: bool = False,
        reverse: bool = False,
        rope: Rope | None = None,
        ci_prob: float | None = None,
    ) -> MarginalMeans:
        """Compare the means with each other.

        Parameters
        ----------
        kind : {"pairwise", "reference", "consecutive", "polynomial", "effects"} or dict
            Each minus each later one; each minus the first (or `reference`); each minus the one
            before; orthogonal polynomials over equally spaced levels; each minus the average of
            all. Or the weights of each contrast by its name, as a sequence in the order of the
            means or a dict of some of them: ``{"a - b": {"a": 1, "b": -1}}``.
        by : str or sequence of str, optional
            Factors within which means are compared; as the means have them by default. No
            factor: ``by=[]``.
        adjust : {"tukey", "mvt", "holm", "bonferroni", "sidak", "simultaneous"} or None
            How p-values and intervals allow for the number of contrasts within each of `by`:
            Tukey's studentized range, for pairwise differences; the multivariate t
            distribution, which is exact where degrees of freedom are (Dunnett's test of
            "reference"); Holm's steps (with Bonferroni's intervals), Bonferroni's or Sidak's
            bounds. By default Tukey's for "pairwise", the multivariate t for "reference" and
            "consecutive", else none. A posterior has no p-values: "simultaneous" are intervals
            that hold together with the given probability, and the default is none.
        reference : object, optional
            The level that others are held against.
        interaction : bool
            Whether contrasts are taken in each factor and multiplied: differences of
            differences.
        reverse : bool
            Whether each contrast is the other way round: each later mean minus each earlier
            one, the first minus each.
        rope : tuple of (float, float), optional
            Region of practical equivalence, on the scale of the linear predictor where
            contrasts are shown as ratios; the probability of it is the column rope.
        ci_prob : float, optional
            Probability inside the intervals; that of the means by default.

        Returns
        -------
        MarginalMeans
            Whose `table` has contrast, the columns of `by`, estimate, sd, lower, upper, and
            df, t, p, or pd and positive (the probability to be above zero). Of means that were
            transformed back it has ratios under links that have them, and t, p, pd and positive
            are of their logarithms.

        Raises
        ------
        ArgumentError
            For an argument out of its range.
        NotSupportedError
            If there is nothing to compare.

        References
        ----------
        Searle, S. R., Speed, F. M. and Milliken, G. A. (1980). Population marginal means in the
        linear model: an alternative to least squares means. The American Statistician 34,
        216-221; Besag, J., Green, P., Higdon, D. and Mengersen, K. (1995). Bayesian computation
        and stochastic systems. Statistical Science 10, 3-41.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> penicillin = bmx.load_dataset("penicillin")
        >>> eb = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
        >>> table = eb.marginal_means("treat").contrasts("reference").table
        >>> table[["contrast", "p"]].round(2).values.tolist()
        [['B - A', 0.97], ['C - A', 0.21], ['D - A', 0.81]]
        """
        return MarginalMeans(
            contrasts_between(
                self._own, kind, by=by, adjust=adjust, reference=reference,
                interaction=interaction, reverse=reverse, rope=rope,
                ci_prob=self._prob(ci_prob),
            )
        )  # fmt: skip

    def joint_test(self, hypothesis: Literal["equal", "zero"] | None = None) -> pd.DataFrame:
        """Test all means together: that a factor makes no difference.

        Parameters
        ----------
        hypothesis : {"equal", "zero"}, optional
            Whether means are held against each other or against zero; contrasts, and a single
            mean, against zero by default. Of several factors each is tested averaged over the
            others, and then their interactions: with all factors of a model that is R's
            ``joint_tests``, which for balanced data is an analysis of variance.

        Returns
        -------
        DataFrame
            term, the columns of `by`, then of a normal response num_df, den_df, f, p, and of
            others chisq, df, p. Of a posterior chisq (squared distance of zero from the mean, in
            terms of the covariance), df (its rank), and contour, the probability of what is at
            least as far from the mean as zero is. What the data do not determine of it is left
            out, which takes degrees of freedom; NaN where nothing is left.

        Raises
        ------
        ArgumentError
            For another hypothesis.

        References
        ----------
        Box, G. E. P. and Tiao, G. C. (1965). Multiparameter problems from a Bayesian point of
        view. The Annals of Mathematical Statistics 36, 1468-1482.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> penicillin = bmx.load_dataset("penicillin")
        >>> eb = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
        >>> eb.marginal_means("treat").joint_test()[["term", "f"]].round(3).values.tolist()
        [['treat', 1.239]]
        """
        own = self._own
        if hypothesis is None:
            single = max(len(at) for at in own.families(own.by)) == 1
            hypothesis = "zero" if single or own.what == "Contrasts" else "equal"
        one_of("hypothesis", hypothesis, ("equal", "zero"))
        return joint_tests(own, equal=hypothesis == "equal")

    def letters(self, *, adjust: str | None = "auto", ci_prob: float | None = None) -> pd.DataFrame:
        """Put letters beside means: those that share one are not told apart.

        Parameters
        ----------
        adjust : str, optional
            As of `contrasts("pairwise")`.
        ci_prob : float, optional
            One minus the level of the tests; of a posterior the probability inside the intervals
            of the differences, which have to leave out zero.

        Returns
        -------
        DataFrame
            `table` with the column letters; the largest mean of each family has ``a``. A mean of
            which the data do not tell where it ends has none.

        Raises
        ------
        ArgumentError
            For an argument out of its range.
        NotSupportedError
            If there is nothing to compare.

        References
        ----------
        Piepho, H.-P. (2004). An algorithm for a letter-based representation of all-pairwise
        comparisons. Journal of Computational and Graphical Statistics 13, 456-466.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> penicillin = bmx.load_dataset("penicillin")
        >>> eb = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
        >>> eb.marginal_means("treat").letters()["letters"].tolist()
        ['a', 'a', 'a', 'a']
        """
        own = self._own
        letters = np.full(len(own.keys), "", dtype=object)
        for family in compared_pairs(own, adjust, self._prob(ci_prob)):
            # A mean without an interval is not told apart, and not the same as the others.
            known = self.table[["estimate", "lower"]].notna().all(axis=1).to_numpy()
            estimate = np.where(known, self.table["estimate"], np.nan)[family.at]
            letters[family.at] = compact_letters(estimate, family.different)
        return self.table.assign(letters=text_column(letters.tolist()))

    @picture
    def plot(
        self, *, arrows: bool | None = None, adjust: str | None = "auto",
        ci_prob: float | None = None, **look: Unpack[Look],
    ) -> Any:  # fmt: skip
        """Draw the means with their intervals, or contrasts around zero.

        Parameters
        ----------
        arrows : bool, optional
            Whether means have arrows that overlap where two are not told apart, as intervals of
            means do not show; by default where there are several. Where some pair contradicts
            its arrows, which many means may not be able to avoid, they are not drawn.
        adjust, ci_prob
            How means are compared, as in `letters`.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        NotSupportedError
            If arrows are asked for that cannot be drawn.

        Examples
        --------
        >>> import bayesmix as bmx
        >>> penicillin = bmx.load_dataset("penicillin")
        >>> eb = bmx.Model("yield ~ treat + (1 | blend)", penicillin).fit_eb()
        >>> figure = eb.marginal_means("treat").plot()
        """
        own, prob = self._own, self._prob(ci_prob)
        if own.what == "Contrasts":
            return draw_contrasts(own, self.table, self._title())
        return draw_means(own, self.table, self._title(), arrows, adjust, prob)

    def with_rope(self, rope: Rope) -> MarginalMeans:
        """Return the same with the probability of a region of practical equivalence.

        Parameters
        ----------
        rope : tuple of (float, float)

        Returns
        -------
        MarginalMeans

        Raises
        ------
        ArgumentError
            If these are no two numbers.
        NotSupportedError
            Where there are tests and no probabilities.
        """
        return MarginalMeans(replace(self._own, rope=region_of(self._own, rope)))

    def _prob(self, ci_prob: float | None) -> float:
        prob = self._own.ci_prob if ci_prob is None else ci_prob
        check_probability("ci_prob", prob)
        return prob
