"""What a fit says of rows: those of its data, and new ones."""
