"""Real clients of the decision endpoints: the OpenAI SDK, LiteLLM's SDK, LangChain.

``python -m tests.litellm.mock.clients URL MODELS`` prints as JSON what each of them made of the
answers of the service at URL, and which provider LiteLLM resolves for each of MODELS.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import httpx
import litellm
import openai
from langchain.agents import create_agent
from langchain.agents.middleware import ModelChoice, ModelRouterMiddleware
from langchain_core.decisions import BaseDecisionModel, ClassifierResponse
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import HumanMessage
from langchain_openai.decisions import Choice, OpenAIDecisions, Predicate, Score

ASK = "Write code."
QUESTIONS: list[dict[str, Any]] = [
    {
        "type": "choice",
        "name": "who",
        "instructions": "Who should answer?",
        "choices": [{"value": "SIMPLE"}, {"value": "candidate-1"}],
    },
    {"type": "predicate", "name": "good", "instructions": "Will SIMPLE reach quality 0.8?"},
    {
        "type": "score",
        "name": "quality",
        "instructions": "Expected quality of SIMPLE",
        "levels": [{"label": "0"}, {"label": "1"}],
    },
    {"type": "predicate", "name": "urgent", "instructions": "Is this urgent?"},
]


class SystemOne(BaseDecisionModel):
    """LangChain's own base class over ``/v1/systemone``."""

    url: str

    @property
    def _provider(self) -> str:
        return "router"

    def _classify(self, state: Any, questions: Any, **_: Any) -> ClassifierResponse:
        asked = {key: question.model_dump() for key, question in questions.items()}
        body = {"model": "router", "state": state.text, "questions": asked}
        answer = httpx.post(f"{self.url}/v1/systemone", json=body).raise_for_status().json()
        return ClassifierResponse.model_validate(
            {"model": answer["model"], "answers": answer["answers"]}
        )


def with_openai(url: str) -> Any:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-mock")
    return client.decisions.create(model="router", input=ASK, questions=QUESTIONS).model_dump()


def with_litellm(url: str) -> Any:
    found: dict[str, Any] = {}
    where = {"api_key": "sk-mock", "timeout": 20}
    answer = litellm.decisions(
        model="openai/router", input=ASK, questions=QUESTIONS, api_base=f"{url}/v1", **where
    )
    found["decisions"] = answer.model_dump()
    criteria = {"SIMPLE": "easy", "candidate-1": "hard"}
    answer = litellm.systemone(
        model="typesafe/jev-latest",
        state=ASK,
        questions={"who": {"type": "choice", "instructions": "Who?", "criteria": criteria}},
        api_base=url,
        **where,
    )
    found["systemone"] = answer.model_dump()
    return found


def with_langchain(url: str) -> Any:
    decisions = OpenAIDecisions(model="router", base_url=f"{url}/v1", api_key="sk-mock")
    answer = decisions.invoke(
        {
            "input": HumanMessage(ASK),
            "questions": {
                "who": Choice(instructions="Who?", choices={"SIMPLE": None, "candidate-1": None}),
                "good": Predicate(instructions="Will SIMPLE reach quality 0.8?"),
                "quality": Score(instructions="Expected quality of SIMPLE", levels=["0", "1"]),
                "urgent": Predicate(instructions="Is this urgent?"),
            },
        }
    )
    return answer.model_dump()


def with_middleware(url: str) -> Any:
    models = {label: FakeListChatModel(responses=[label]) for label in ("SIMPLE", "candidate-1")}
    router = ModelRouterMiddleware(
        choices={label: ModelChoice(model=m, criteria="…") for label, m in models.items()},
        instructions="Who should answer?",
        classifier=SystemOne(model="router", url=url),
    )
    agent = create_agent(FakeListChatModel(responses=["nobody"]), middleware=[router])
    state = agent.invoke({"messages": [HumanMessage(ASK)]})
    return {"route": state["model_route"].model_dump(), "said": state["messages"][-1].content}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    url, models = sys.argv[1], json.loads(sys.argv[2])
    found: dict[str, Any] = {}
    for make in (with_openai, with_litellm, with_langchain, with_middleware):
        try:
            found[make.__name__] = make(url)
        except Exception as error:  # one client's failure must not hide the others'
            found[make.__name__] = {"error": f"{type(error).__name__}: {error}"}
    router = litellm.Router(model_list=models)  # refuses what it cannot resolve
    found["providers"] = {
        group: litellm.get_llm_provider(params["model"], api_base=params.get("api_base"))[1]
        for deployment in router.get_model_list() or ()
        for group, params in [(deployment["model_name"], deployment["litellm_params"])]
    }
    print(json.dumps(found, default=str))  # noqa: T201 - read by the test
