"""HTTP around the service: bodies, errors, the OpenAPI document."""
