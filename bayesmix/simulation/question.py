"""What is asked of each simulated data set's fit, and how it answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayesmix.arguments import did_you_mean, one_of
from bayesmix.errors import ArgumentError

if TYPE_CHECKING:
    from bayesmix.laws.base import DegreesOfFreedom
    from bayesmix.model import Model

__all__ = ["Answer", "Criterion", "Question"]

Criterion = Literal["p", "interval", "probability"]
_RELATION = re.compile(r"[<>=]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one fit says.

    Attributes
    ----------
    success : bool
        Whether the effect is found.
    estimate : float
        The coefficient that is asked about; NaN where it is no single one.
    """

    success: bool
    estimate: float = np.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A test, and when it counts as a success.

    Attributes
    ----------
    test : str, tuple of str, or callable
        A coefficient, a term, equations, an inequality, or what the caller makes of a fit.
    criterion : {"p", "interval", "probability"}
    alpha : float
    ddf : {"satterthwaite", "kenward-roger"} or None
    coefficient : int
        Position of the coefficient that `test` names, -1 where it names none.
    """

    test: str | tuple[str, ...] | Callable[[Any], Any]
    criterion: Criterion
    alpha: float
    ddf: DegreesOfFreedom | None
    coefficient: int

    @classmethod
    def of(
        cls, test: Any, criterion: Criterion | None, alpha: float, ddf: Any, model: Model, *,
        draws: bool,
    ) -> Question:  # fmt: skip
        """Check what is asked.

        Raises
        ------
        ArgumentError
            If a text names neither coefficient nor term, or the criterion does not suit it.
        """
        if callable(test):
            return cls(test=test, criterion="p", alpha=alpha, ddf=ddf, coefficient=-1)
        texts = (test,) if isinstance(test, str) else tuple(test)
        relations = {c for text in texts for c in _RELATION.findall(text)}
        names = list(model.design.mu.fixed_effects)
        at = names.index(texts[0]) if len(texts) == 1 and texts[0] in names else -1
        if criterion is None:
            criterion = "probability" if relations & {"<", ">"} else "interval" if draws else "p"
        one_of("criterion", criterion, ("p", "interval", "probability"))
        if at < 0 and not relations:
            terms = [term for term in model.design.mu.terms if term != "1"]
            if texts[0] not in terms or draws:
                known = names if draws else [*names, *terms]
                raise ArgumentError(
                    f"test={test!r} is no coefficient{'' if draws else ' and no term'} of "
                    f"`{model.formula}`; {did_you_mean(texts[0], known)}there are "
                    f"{', '.join(dict.fromkeys(known))}; or take an equation such as "
                    f"`{names[-1]} = 0`, or a function of a fit"
                )
        if draws and criterion == "p":
            raise ArgumentError(
                'criterion="p" is of empirical Bayes (fit="eb"); a posterior has "interval" and '
                '"probability"'
            )
        if criterion == "probability" and not (draws and relations & {"<", ">"}):
            raise ArgumentError(
                'criterion="probability" is of a posterior (fit="posterior") and an inequality, '
                f'such as test="{names[-1]} > 0"'
            )
        if criterion == "interval" and at < 0:
            raise ArgumentError(f'criterion="interval" is of one coefficient, not of {test!r}')
        return cls(test=texts if relations or len(texts) > 1 else texts[0], criterion=criterion,
                   alpha=alpha, ddf=ddf, coefficient=at)  # fmt: skip

    @property
    def in_words(self) -> str:
        """What counts as a success."""
        if callable(self.test):
            return f"{getattr(self.test, '__name__', 'test')}(fit)"
        text = self.test if isinstance(self.test, str) else "; ".join(self.test)
        if self.criterion == "p":
            return f"p of {text} below {self.alpha:g}"
        if self.criterion == "interval":
            return f"{100 * (1 - self.alpha):g} % interval of {text} without zero"
        return f"probability of {text} above {1 - self.alpha:g}"

    def __call__(self, fit: Any) -> Answer:
        """Ask one fit."""
        if callable(self.test):
            found = self.test(fit)
            success = found if isinstance(found, bool | np.bool_) else float(found) < self.alpha
            return Answer(success=bool(success))
        if self.criterion == "probability":
            table = fit.hypothesis(list(self.test)).table
            return Answer(success=bool((table["probability"] > 1 - self.alpha).all()))
        if self.coefficient >= 0:
            return self._of_coefficient(fit)
        if isinstance(self.test, str):
            table = fit.anova(ddf=self.ddf)
            return Answer(success=bool(table.set_index("term").loc[self.test, "p"] < self.alpha))
        return Answer(success=bool(fit.test(list(self.test), ddf=self.ddf)["p"][0] < self.alpha))

    def _of_coefficient(self, fit: Any) -> Answer:
        name = str(self.test)
        if self.criterion == "p":
            table = fit.fixed_effects(1 - self.alpha, ddf=self.ddf, tests=True)
            row = table.set_index("term").loc[name]
            return Answer(success=bool(row["p"] < self.alpha), estimate=float(row["estimate"]))
        given = {"diagnostics": False} if hasattr(fit, "idata") else {}
        row = fit.fixed_effects(1 - self.alpha, **given).set_index("term").loc[name]
        return Answer(
            success=bool(row["lower"] > 0 or row["upper"] < 0), estimate=float(row["estimate"])
        )
