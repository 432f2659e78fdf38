"""What the service keeps between requests: sessions, health of candidates, budgets."""
