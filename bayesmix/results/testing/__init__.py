"""Tests of fixed effects and of group effects: beside the frequentist."""
