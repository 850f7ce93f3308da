"""Draw the picture of README.md: docs/_static/sleepstudy.png."""

from __future__ import annotations

from pathlib import Path

import bayesmix as bmx

PLACE = Path(__file__).parents[1] / "docs" / "_static" / "sleepstudy.png"


def main() -> None:
    """Fit sleepstudy, and write the picture of its predictions."""
    model = bmx.Model("Reaction ~ Days + (Days | Subject)", bmx.load_dataset("sleepstudy"))
    figure = model.fit(seed=1).plot_predictions(
        "Days",
        figsize=(6.4, 4.0),
        labels={"Days": "days without sleep", "Reaction": "reaction time (ms)"},
    )
    figure.savefig(PLACE, dpi=110)
    print(PLACE)


if __name__ == "__main__":
    main()
