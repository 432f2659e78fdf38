"""How good a router is: curves, metrics, intervals, gates, off-policy estimates. Arrays only."""
