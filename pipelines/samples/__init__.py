"""Small logs of a synthetic world, one in each format that the readers know."""
