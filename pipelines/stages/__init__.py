"""Jobs, one a file: `run(config)` gives the folder written."""
