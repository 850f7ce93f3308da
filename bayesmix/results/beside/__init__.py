"""Other estimates beside a fit: of other programs, of each level alone, of all rows together."""
