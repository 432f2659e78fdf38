"""The router as a decision model, for whatever in LangChain asks one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.decisions import BaseDecisionModel, Choice, ChoiceAnswer, ClassifierResponse
from langchain_core.messages import BaseMessage
from pydantic import Field, PrivateAttr

from router_ml.client import RouterClient
from router_ml.integrations.langchain.steps import chat_messages

_LOG: Final = logging.getLogger(__name__)


class RouterDecisionModel(BaseDecisionModel):  # type: ignore[misc]  # LangChain may not be installed
    """Answers ``Choice`` questions over candidates, and always answers.

    ``ModelRouterMiddleware`` lets errors of its classifier end the run. This one has none: where
    the router does not answer, or the labels are not the router's, the default is chosen, with a
    confidence of 0. The probabilities are those with which the router draws.

    Parameters
    ----------
    client : of the scoring service
    default : label that is chosen when the router does not answer; where a question lacks it, its
        first label is
    candidates : label to candidate; other labels are candidates themselves
    """

    model: str = "router-ml"
    default: str
    candidates: dict[str, str] = Field(default_factory=dict)
    _client: RouterClient = PrivateAttr()

    def __init__(
        self,
        *,
        client: RouterClient,
        default: str,
        candidates: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(default=default, candidates=dict(candidates or {}))
        self._client = client

    @property
    def _provider(self) -> str:
        return "router-ml"

    def _classify(self, state: Any, questions: dict[str, Any]) -> Any:
        answers = {}
        for name, question in questions.items():
            if not isinstance(question, Choice):
                raise NotImplementedError(
                    f"question {name!r}: the router answers a Choice among candidates, got "
                    f"{type(question).__name__}; ask another decision model"
                )
            answers[name] = self._choice(state, list(question.criteria))
        return ClassifierResponse(model=self.model, answers=answers)

    def _choice(self, state: Any, labels: list[str]) -> Any:
        by_candidate: dict[str, str] = {}
        for label in labels:
            by_candidate.setdefault(self.candidates.get(label, label), label)
        try:
            body = {
                "model": self.model,
                "state": {"messages": _messages(state)},
                "questions": {
                    "route": {
                        "type": "choice",
                        "instructions": "",
                        "criteria": dict.fromkeys(by_candidate, ""),
                    }
                },
            }
            answer = (self._client.ask("/v1/systemone", body) or {})["answers"]["route"]
            drawn = answer["probabilities"]
            return ChoiceAnswer(
                type="choice",
                choice=by_candidate[answer["choice"]],
                probabilities=dict.fromkeys(labels, 0.0)
                | {label: float(drawn.get(name, 0.0)) for name, label in by_candidate.items()},
                confidence=float(answer["confidence"]),
            )
        except Exception as error:
            # The contract: an error of ours is never the agent's.
            label = self.default if self.default in labels else labels[0]
            _LOG.warning(
                "the router gave no answer (%s); %s is chosen", type(error).__name__, label
            )
            return ChoiceAnswer(
                type="choice",
                choice=label,
                probabilities={name: float(name == label) for name in labels},
                confidence=0.0,
            )


def _messages(state: Any) -> list[dict[str, Any]]:
    """Text, one message, or several, as a chat request has them."""
    if isinstance(state, BaseMessage):
        return chat_messages([state])
    if isinstance(state, list) and state and all(isinstance(m, BaseMessage) for m in state):
        return chat_messages(state)
    return [{"role": "user", "content": state if isinstance(state, str) else str(state)}]
