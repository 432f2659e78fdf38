"""Measurements of the whole platform, with one result schema, and the world they are made in."""
