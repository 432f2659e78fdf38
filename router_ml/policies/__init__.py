"""Predictions to a distribution over candidates; numpy only, one policy a file."""
