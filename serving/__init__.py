"""The scoring service: HTTP around :mod:`router_ml.runtime`."""
