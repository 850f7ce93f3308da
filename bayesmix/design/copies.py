"""Rows of a design taken several times, with levels that are different each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesmix.design.design import Design
from bayesmix.design.groups import GroupingFactor
from bayesmix.design.subset import design_of_rows

__all__ = ["design_of_copies"]


def design_of_copies(design: Design, rows: np.ndarray, copy: np.ndarray) -> Design:
    """Take rows of a design, some of them several times.

    Parameters
    ----------
    design : Design
        Its grouping factors have independent levels.
    rows : ndarray of int, shape (m,)
        Positions among the rows of the design.
    copy : ndarray of int, shape (m,)
        Rows of the same level and different copies have different levels.

    Returns
    -------
    Design
    """
    taken = design_of_rows(design, rows)

    def copied(
        whole: tuple[GroupingFactor, ...], parts: tuple[GroupingFactor, ...]
    ) -> tuple[GroupingFactor, ...]:
        return tuple(
            part if part.is_smooth else _copied(own, part, rows, copy)
            for own, part in zip(whole, parts, strict=True)
        )

    return replace(
        taken,
        predictors={
            name: replace(
                predictor,
                groups=copied(design.predictors[name].groups, predictor.groups),
                borrowed=copied(design.predictors[name].borrowed, predictor.borrowed),
            )
            for name, predictor in taken.predictors.items()
        },
    )


def _copied(
    whole: GroupingFactor, part: GroupingFactor, rows: np.ndarray, copy: np.ndarray
) -> GroupingFactor:
    old = whole.index[rows]
    pairs, index = np.unique(np.stack([copy, old], axis=1), axis=0, return_inverse=True)
    labels = np.asarray(
        [f"{whole.levels.labels[k]} ({c + 1})" for c, k in pairs.tolist()], dtype=object
    )
    levels = whole.levels.taken(pairs[:, 1], labels)
    return replace(
        part, levels=levels, index=index.reshape(-1).astype(np.int32),
        present=None if whole.present is None else whole.present[pairs[:, 1]],
    )  # fmt: skip
