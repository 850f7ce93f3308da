"""Relationships between animals, from who their parents are."""

from bayesmix.pedigree.relationship import Relationship, relationship

__all__ = ["Relationship", "relationship"]
