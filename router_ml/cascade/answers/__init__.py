"""What an answer looks like to the scorer."""
