"""The decision log as files: chained lines whose text alone can be erased."""
