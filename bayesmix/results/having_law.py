"""What every subject of a fit starts from: the model as stated, and the law of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmix.answering import Answers

if TYPE_CHECKING:
    from bayesmix.laws.base import Law
    from bayesmix.statement.stated import FittableModel

__all__ = ["HasLaw"]


class HasLaw(Answers):
    """A model whose parameters have a law.

    Attributes
    ----------
    model : Model
    """

    model: FittableModel

    @property
    def _law(self) -> Law:
        raise NotImplementedError

    def _refuse_changed(self, method: str, *, rows_only: bool = False) -> None:
        """Refuse what goes by the formula where the model that was fitted says otherwise."""
