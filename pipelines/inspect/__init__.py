"""Look at files that nobody prepared, and write the configuration of a run for them."""
