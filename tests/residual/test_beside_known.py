"""Residual structures and a predictor of sigma beside known standard errors, end to end."""

from __future__ import annotations
