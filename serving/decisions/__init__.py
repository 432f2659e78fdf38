"""Decision endpoints: questions about a request, answered by the router with probabilities."""
