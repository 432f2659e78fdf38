"""Where neighbours are looked up: in the process, or in a vector database."""
