"""Learn, judge, export and score LLM routers."""

__version__ = "0.1.0"
