"""What a fit says of its parameters: tables, diagnostics, summaries, labels."""
