"""A bundle with a cascade to the next step."""
