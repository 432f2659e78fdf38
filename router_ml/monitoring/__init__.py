"""Drift while serving: sequential tests on what became of decisions, and on who asks what."""
