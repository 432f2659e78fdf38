"""LangChain and LangGraph: a decision model, a middleware for agents, an edge of a graph.

``pip install router-ml[langchain]``. Every part asks the scoring service through
:class:`router_ml.client.RouterClient`; whatever fails on our side, the configured default answers.
"""
