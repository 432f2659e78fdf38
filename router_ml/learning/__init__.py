"""What an estimator is fitted to, and how a policy is solved."""
