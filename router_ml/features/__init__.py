"""What a query looks like to an estimator."""
