"""Versions of a router in MLflow: runs, aliases, promotion."""
