"""Guards: what looks at a request before it is scored, and what its verdict rules out."""
