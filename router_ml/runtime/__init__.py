"""Bundle to predictions to decision: the one scoring path."""
