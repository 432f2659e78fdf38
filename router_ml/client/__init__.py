"""A thin client of the scoring service: the router may vanish, and nobody's request fails.

Standard library alone. Every call ends within its timeout; whatever goes wrong, the answer is the
fallback, and ``source`` says so. After several failures in a row the service is left alone for a
while, so that a router that is down costs the first few timeouts and nothing after them.

Examples
--------
>>> from router_ml.client import RouterClient
>>> client = RouterClient(url="http://127.0.0.1:9", fallback="gpt-4o-mini")
>>> client.route(query="Hello").source
'fallback'
"""

from router_ml.client.async_client import AsyncRouterClient
from router_ml.client.breaker import Breaker
from router_ml.client.choice import Choice
from router_ml.client.router_client import RouterClient

__all__ = ["AsyncRouterClient", "Breaker", "Choice", "RouterClient"]
