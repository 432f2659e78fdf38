"""Where a request log keeps its columns: paths of LiteLLM's rows and of canonical ones.

Field names: LiteLLM 1.109.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router_ml.data.schemas import REQUESTS
from router_ml.errors import ConfigError

Fields = Mapping[str, tuple[str, ...]]
"""Paths of each field, the first that holds something is taken."""


def _routed(name: str) -> tuple[str, ...]:
    """Where a decision stands: in a log's own metadata, or where LiteLLM's proxy keeps it."""
    return (f"metadata.router.{name}", f"metadata.spend_logs_metadata.router.{name}")


LITELLM: Final[Fields] = {
    "request_id": ("id", "request_id"),
    "decision_id": _routed("decision_id"),
    "time": ("startTime",),
    "query_id": (),
    "group_id": (),
    "session_id": ("session_id",),
    "user_id": ("end_user", "user"),
    "tenant": ("metadata.user_api_key_team_id", "team_id"),
    "candidate_chosen": _routed("candidate"),
    "candidate_served": ("model",),
    "eligible": _routed("candidates"),
    "propensity": _routed("propensity"),
    "action_probs": _routed("action_probs"),
    "policy_version": (*_routed("policy_version"), *_routed("policy")),
    "query": (),
    "messages": (
        "messages",
        "proxy_server_request.messages",
        "proxy_server_request.input",
        "proxy_server_request.prompt",
    ),
    "tools": (
        "model_parameters.tools",
        "model_parameters.functions",
        "proxy_server_request.tools",
        "proxy_server_request.functions",
    ),
    "answer": (
        "response.choices.0.message.content",
        "response.choices.0.text",
        "response.output_text",
        "response.output",
        "response.content",
    ),
    "input_tokens": ("prompt_tokens",),
    "output_tokens": ("completion_tokens",),
    "cached_input_tokens": (
        "metadata.usage_object.prompt_tokens_details.cached_tokens",
        "metadata.usage_object.cache_read_input_tokens",
        "metadata.usage_object.input_tokens_details.cached_tokens",
        "response.usage.prompt_tokens_details.cached_tokens",
        "response.usage.cache_read_input_tokens",
        "response.usage.input_tokens_details.cached_tokens",
    ),
    "cache_write_tokens": (
        "metadata.usage_object.cache_creation_input_tokens",
        "metadata.usage_object.prompt_tokens_details.cache_creation_tokens",
        "metadata.usage_object.prompt_tokens_details.cache_write_tokens",
        "response.usage.cache_creation_input_tokens",
        "response.usage.prompt_tokens_details.cache_creation_tokens",
        "response.usage.prompt_tokens_details.cache_write_tokens",
    ),
    "audio_input_tokens": (
        "metadata.usage_object.prompt_tokens_details.audio_tokens",
        "response.usage.prompt_tokens_details.audio_tokens",
    ),
    "audio_output_tokens": (
        "metadata.usage_object.completion_tokens_details.audio_tokens",
        "response.usage.completion_tokens_details.audio_tokens",
    ),
    "service_tier": (
        "service_tier",
        "response.service_tier",
        "metadata.usage_object.service_tier",
        "model_parameters.service_tier",
    ),
    "cost_usd": ("response_cost", "spend"),
    "latency_ms": ("request_duration_ms",),
    "ttft_ms": (),
    "status": ("status", "metadata.status"),
    "error_class": ("error_information.error_class", "metadata.error_information.error_class"),
    "finish_reason": ("response.choices.0.finish_reason",),
    "cache_hit": ("cache_hit",),
    # Not columns, but needed for them.
    "latency_s": ("response_time",),
    "end_time": ("endTime",),
    "first_token_time": ("completionStartTime",),
    "stream": ("stream",),
    "call_type": ("call_type",),
    "judge_call": ("metadata.internal_call_origin",),
    "shadow": ("metadata.is_silent_experiment",),
    "fallbacks": ("metadata.attempted_fallbacks",),
    "candidate_asked": ("metadata.original_model_group",),
    # The group that served is the candidate where this router chose among groups.
    "group_chosen": ("metadata.spend_logs_metadata.router.candidate",),
    "group_served": ("metadata.routing_decision.routed_model", "model_group"),
    "tool_calls": ("response.choices.0.message.tool_calls",),
    "function_call": ("response.choices.0.message.function_call",),
    "error_code": ("error_information.error_code", "metadata.error_information.error_code"),
    "error_text": (
        "error_str",
        "error_information.error_message",
        "metadata.error_information.error_message",
    ),
    # Input tokens as Anthropic counts them, without those read from or written to a cache.
    "uncached_input_tokens": (),
}
"""Where LiteLLM keeps things; ``request_fields`` of the config overrides one at a time."""

CANONICAL: Final[Fields] = {
    name: (name,) if name in REQUESTS.names else () for name in (*REQUESTS.names, *LITELLM)
}


def with_overrides(fields: Fields, overrides: Fields) -> Fields:
    """Replace some fields' paths; ConfigError on a field that does not exist."""
    if unknown := sorted(set(overrides) - set(fields)):
        raise ConfigError(
            f"request_fields has no field {', '.join(unknown)}; there are {', '.join(fields)}"
        )
    return {**fields, **overrides}
