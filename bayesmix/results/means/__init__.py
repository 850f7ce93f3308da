"""Marginal means, their contrasts, trends and joint tests: averages over a reference grid."""
