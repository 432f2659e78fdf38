"""Policies of sequences: a fixed order, or routing after every answer."""
