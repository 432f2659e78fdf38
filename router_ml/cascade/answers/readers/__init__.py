"""Answer readers, one a file."""
