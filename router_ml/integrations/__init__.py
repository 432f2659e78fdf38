"""Bridges to other systems, each thin and imported only by those who use it."""
