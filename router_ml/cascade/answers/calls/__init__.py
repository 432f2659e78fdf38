"""Tool calls of an answer: out of any notation, checked against the tools on offer."""
