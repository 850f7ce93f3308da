"""How well a fit predicts what it has not seen, and what its data look like under it."""
