"""Learned predictors, one algorithm a file; all of them pass `router_ml.checks.check_estimator`."""
