"""Decisions and cascade steps to rows of the decision log."""

from __future__ import annotations

from typing import Final

import msgspec

from router_ml.cascade.runtime.next_step import NextStep
from router_ml.errors import RouterError
from router_ml.types.decisions import Decision
from serving.cascade import CascadeRequest, CascadeResponse
from serving.clock import now
from serving.experiment import Made, Mixture
from serving.loading.loader import Router
from serving.log.decision_log import DecisionLog
from serving.log.rows import CascadeRow, DecisionRow, ShadowRow
from serving.log.text import LoggedText
from serving.requests import Ask

CHALLENGER: Final = "challenger"
"""The arm of a challenger's decisions."""


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

    def decision(self, made: Made, mixture: Mixture | None = None) -> None:
        """Queue the row of a decision.

        Parameters
        ----------
        mixture : of an experiment's arms
        """
        decision_id, time, router, ask, decision, ranking = made
        runtime, request, text, trial = router.runtime, ask.request, self.text, ask.trial
        names, probs = runtime.candidates.names, decision.action_probs
        propensity = decision.propensity
        if mixture is not None:
            names, probs = mixture
            propensity = probs[names.index(decision.candidate)]
        tokens = decision.expected_tokens
        row = DecisionRow(
            decision_id=decision_id,
            time=time,
            request_id=request.request_id,
            session_id=ask.session_id,
            tags=request.tags,
            arm=self.arm if trial is None or not trial.is_challenger else CHALLENGER,
            router=router.name.name,
            router_version=router.name.version,
            bundle_id=runtime.manifest.bundle_id,
            override_digest=runtime.override_digest,
            policy=decision.policy,
            candidate=decision.candidate,
            propensity=propensity,
            candidates=names,
            action_probs=probs,
            ranking=ranking,
            removed=decision.removed,
            limits=ask.limits.to_dict(),
            draw=decision.draw,
            experiment=None if trial is None else trial.experiment,
            unit=None if trial is None else trial.unit,
            challenger_share=None if trial is None else trial.share,
            arm_probs=None if mixture is None else decision.action_probs,
            key=ask.call.key_name,
            tenant=ask.tenant,
            predicted_input_tokens=None if tokens is None else round(tokens[0], 2),
            predicted_output_tokens=None if tokens is None else round(tokens[1], 2),
        )
        said = text.keep(query=request.query, messages=request.messages, tools=ask.tools)
        self.log.append(row, said, size=text.size(ask.call.body))

    def shadow(self, made: Made, other: Router, result: Decision | RouterError) -> None:
        """Queue the row of what the challenger would have done."""
        trial, runtime, request = made.ask.trial, other.runtime, made.ask.request
        if trial is None:
            return
        row = ShadowRow(
            decision_id=made.decision_id,
            time=made.time,
            request_id=request.request_id,
            session_id=made.ask.session_id,
            arm=CHALLENGER,
            experiment=trial.experiment,
            unit=trial.unit,
            router=other.name.name,
            router_version=other.name.version,
            bundle_id=runtime.manifest.bundle_id,
            override_digest=runtime.override_digest,
        )
        if isinstance(result, Decision):
            row.policy, row.candidate = result.policy, result.candidate
            row.propensity, row.action_probs = result.propensity, result.action_probs
            row.candidates = runtime.candidates.names
            row.ranking = tuple(map(msgspec.to_builtins, result.ranking))
        else:
            row.error = type(result).__name__
        self.log.append(row)

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
