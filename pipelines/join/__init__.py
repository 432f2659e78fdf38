"""Request logs, labels and prices to outcomes: sources, SQL, engine."""
