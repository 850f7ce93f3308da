"""What formulas know of a structure, and what the structure itself says, agree."""

from __future__ import annotations

import pytest

from bayesmix.covariance import STRUCTURES
from bayesmix.formula.structures import STRUCTURE_WORDS


@pytest.mark.parametrize("word", sorted(STRUCTURES))
def test_formulas_know_the_word_and_whether_effects_share_an_sd(word: str) -> None:
    assert STRUCTURE_WORDS[word].tied == STRUCTURES[word].tied
