"""Fits in files, and as pages to read."""
