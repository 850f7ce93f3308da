"""The heart: cross-products, blocked Cholesky, collapsed density, conditional draws."""
