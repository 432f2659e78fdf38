"""Decisions and cascade steps to rows of the decision log."""

from __future__ import annotations

from typing import Any

import msgspec

from router_ml.cascade.runtime.next_step import NextStep
from router_ml.types.decisions import Decision
from serving.cascade import CascadeRequest, CascadeResponse
from serving.clock import now
from serving.loading.loader import Router
from serving.log.decision_log import DecisionLog
from serving.log.rows import CascadeRow, DecisionRow
from serving.log.text import LoggedText
from serving.requests import Ask


class Recorder:
    """Writes what was decided.

    Parameters
    ----------
    log : of the process
    arm : stands in every row
    text : what is kept of query, messages, tools and answers
    """

    def __init__(self, *, log: DecisionLog, arm: str, text: LoggedText) -> None:
        self.log = log
        self.arm = arm
        self.text = text

    def decision(
        self, decision_id: str, router: Router, ask: Ask, decision: Decision, ranking: Any
    ) -> None:
        """Queue the row of a decision; ``ranking`` is encoded already."""
        runtime, request, text = router.runtime, ask.request, self.text
        row = DecisionRow(
            decision_id=decision_id,
            time=now(),
            request_id=request.request_id,
            session_id=ask.session_id,
            tags=request.tags,
            arm=self.arm,
            router=router.name.name,
            router_version=router.name.version,
            bundle_id=runtime.manifest.bundle_id,
            override_digest=runtime.override_digest,
            policy=decision.policy,
            candidate=decision.candidate,
            propensity=decision.propensity,
            candidates=runtime.candidates.names,
            action_probs=decision.action_probs,
            ranking=ranking,
            removed=decision.removed,
            limits=ask.limits.to_dict(),
            draw=decision.draw,
            key=ask.call.key_name,
            tenant=ask.tenant,
        )
        said = text.keep(query=request.query, messages=request.messages, tools=ask.tools)
        self.log.append(row, said, size=text.size(ask.call.body))

    def cascade(
        self,
        router: Router,
        ask: Ask,
        request: CascadeRequest,
        step: NextStep,
        answer: CascadeResponse,
    ) -> None:
        """Queue the row of a cascade's step."""
        runtime, decision, text = router.runtime, step.decision, self.text
        answers = [msgspec.structs.asdict(answer) for answer in request.answers]
        row = CascadeRow(
            decision_id=answer.decision_id,
            time=now(),
            request_id=request.request_id,
            session_id=ask.session_id,
            tags=request.tags,
            arm=self.arm,
            router=router.name.name,
            router_version=router.name.version,
            bundle_id=runtime.manifest.bundle_id,
            override_digest=runtime.override_digest,
            action=step.action,
            candidate=step.candidate,
            quality=step.quality,
            expected_gain=step.expected_gain,
            expected_cost_usd=step.expected_cost_usd,
            estimates=answer.estimates,
            answers=text.turns(answers),
            policy=answer.policy,
            propensity=answer.propensity,
            candidates=runtime.candidates.names,
            action_probs=None if decision is None else decision.action_probs,
            key=ask.call.key_name,
            tenant=ask.tenant,
        )
        said = text.keep(
            query=request.query,
            messages=request.messages,
            tools=ask.tools,
            answers_text=text.said(answers),
        )
        self.log.append(row, said, size=text.size(ask.call.body))
