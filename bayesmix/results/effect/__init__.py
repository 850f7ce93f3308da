"""What predictors do: averages, contrasts, explained variance, hypotheses."""
