"""Counts to Prometheus metrics, of one worker or of all."""
