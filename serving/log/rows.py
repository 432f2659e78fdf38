"""What stands in the decision log: one row a decision, cascade step or feedback.

What people wrote is no field of a row: it goes beside it, so that it can be erased
(:mod:`router_ml.decision_log.lines`). ``previous`` and ``text_sha256``, always last, are filled in
when a row is written.
"""

from __future__ import annotations

from typing import Any

import msgspec


class DecisionRow(msgspec.Struct, tag="decision", tag_field="kind", gc=False):
    """One decision. ``action_probs`` is in the order of ``candidates``, all the router has.

    ``limits`` are those in force, the caller's and the service's; ``draw`` is the uniform number
    that a randomising policy drew. With bundle and text they give the decision again, bit for bit.

    In an experiment ``candidates`` and ``action_probs`` are those of both arms together, mixed by
    ``challenger_share``, and ``arm_probs`` those of the router that decided alone; ``unit`` is a
    hash of what was assigned as a whole. ``predicted_input_tokens`` and ``predicted_output_tokens``
    are of the chosen candidate.
    """

    decision_id: str
    time: str
    request_id: str | None
    session_id: str | None
    tags: Any
    arm: str
    router: str
    router_version: str
    bundle_id: str
    override_digest: str
    policy: str
    candidate: str
    propensity: float
    candidates: tuple[str, ...]
    action_probs: tuple[float, ...]
    ranking: tuple[Any, ...]
    removed: tuple[Any, ...] = ()
    limits: dict[str, Any] = {}
    draw: float | None = None
    experiment: str | None = None
    unit: str | None = None
    challenger_share: float | None = None
    arm_probs: tuple[float, ...] | None = None
    key: str | None = None
    tenant: str | None = None
    predicted_input_tokens: float | None = None
    predicted_output_tokens: float | None = None
    previous: str = ""
    text_sha256: str = ""


class ShadowRow(msgspec.Struct, tag="shadow", tag_field="kind", gc=False):
    """What a challenger in the shadow would have done; ``error`` where it would have failed."""

    decision_id: str
    time: str
    request_id: str | None
    session_id: str | None
    arm: str
    experiment: str
    unit: str
    router: str
    router_version: str
    bundle_id: str
    override_digest: str
    error: str | None = None
    policy: str | None = None
    candidate: str | None = None
    propensity: float | None = None
    candidates: tuple[str, ...] = ()
    action_probs: tuple[float, ...] = ()
    ranking: tuple[Any, ...] = ()
    previous: str = ""
    text_sha256: str = ""


class CascadeRow(msgspec.Struct, tag="cascade", tag_field="kind", gc=False):
    """One step of a cascade; what ``answers`` say stands in ``answers_text``.

    ``action_probs``, in the order of ``candidates``, are the router's where it chose whom to ask,
    and null where the cascade decided.
    """

    decision_id: str
    time: str
    request_id: str | None
    session_id: str | None
    tags: Any
    arm: str
    router: str
    router_version: str
    bundle_id: str
    override_digest: str
    action: str
    candidate: str
    quality: float
    expected_gain: float
    expected_cost_usd: float
    estimates: dict[str, float]
    answers: tuple[Any, ...]
    policy: str
    propensity: float
    candidates: tuple[str, ...]
    action_probs: tuple[float, ...] | None
    key: str | None = None
    tenant: str | None = None
    previous: str = ""
    text_sha256: str = ""


class FeedbackRow(msgspec.Struct, tag="feedback", tag_field="kind"):
    """One feedback; of several with the same ``(decision_id, name)`` the latest holds.

    ``key`` and ``labels_others`` say who gave it: without the latter it counts only for decisions
    that the same key asked for.
    """

    decision_id: str
    time: str
    name: str
    source: str
    quality: float | None
    candidate_served: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    latency_ms: float | None
    ttft_ms: float | None
    status: str | None
    error_class: str | None
    key: str | None = None
    labels_others: bool = True
    previous: str = ""
    text_sha256: str = ""


Row = DecisionRow | ShadowRow | CascadeRow | FeedbackRow
