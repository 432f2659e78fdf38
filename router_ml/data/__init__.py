"""Tables: outcomes, full information, groups and folds, schemas, a synthetic world."""
