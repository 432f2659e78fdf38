"""Traffic of known truth through the real service, and the retraining behind it."""
