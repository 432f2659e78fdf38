"""Real agents and graphs against the service at ROUTER_URL; its candidates are candidate-0 to 2."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelChoice, ModelRouterMiddleware
from langchain_core.decisions import Choice, Noul
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import Field

from router_ml.client import RouterClient
from router_ml.errors import ConfigError
from router_ml.integrations.langchain.decision_model import RouterDecisionModel
from router_ml.integrations.langchain.edge import router_edge
from router_ml.integrations.langchain.middleware import RouterMiddleware
from router_ml.integrations.langchain.steps import chat_messages, step_tags

URL = os.environ["ROUTER_URL"]
NAMES = ("candidate-0", "candidate-1", "candidate-2")
DOWN = "http://127.0.0.1:9"
PAGE = Path(__file__).parents[3] / "docs" / "integrations" / "langchain.md"


class Model(BaseChatModel):
    """Answers with its own name; calls the tool once, if it has one."""

    name: str
    fails: bool = False
    asked: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "fake"

    def bind_tools(self, tools: Any, **_: Any) -> Model:
        return self

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> Any:
        self.asked.append(messages)
        if self.fails:
            raise TimeoutError("overloaded")
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        answer = AIMessage(self.name, usage_metadata=usage)
        if "look up" in str(messages[-1].content):
            calls = [{"name": "look_up", "args": {"word": "x"}, "id": "c1", "type": "tool_call"}]
            answer = AIMessage("", tool_calls=calls, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=answer)])


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word} is a word"


class Recorder(RouterClient):
    """The real client, which notes what it was asked and told."""

    def __init__(self, **options: Any) -> None:
        given: dict[str, Any] = {"url": URL, "fallback": "candidate-0", "timeout_s": 5.0}
        super().__init__(**given | options)
        self.asked: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.choices: list[Any] = []

    def route(self, *args: Any, **fields: Any) -> Any:
        self.asked.append(fields)
        self.choices.append(super().route(*args, **fields))
        return self.choices[-1]

    def feedback(self, decision_id: str | None, **fields: Any) -> bool:
        done = super().feedback(decision_id, **fields)
        self.told.append(fields | {"recorded": done})
        return done


def models(**fails: bool) -> dict[str, Model]:
    return {n: Model(name=n, fails=fails.get(n.replace("-", "_"), False), asked=[]) for n in NAMES}


@pytest.fixture
def client() -> Iterator[Recorder]:
    with Recorder() as client:
        yield client


def last(result: Any) -> str:
    return str(result["messages"][-1].content)


def test_every_step_is_routed_and_reported(client: Recorder) -> None:
    middleware = RouterMiddleware(client=client, models=models(), agent="main")
    agent = create_agent(Model(name="own"), tools=[look_up], middleware=[middleware])
    result = agent.invoke({"messages": [HumanMessage("look up a word")]})
    assert [choice.source for choice in client.choices] == ["router", "router"]
    assert last(result) == client.choices[-1].candidate
    first, second = client.asked
    assert first["tags"] == {"step.last": "human", "step.depth": "0", "agent": "main"}
    assert second["tags"]["step.last"] == "tool:look_up"
    assert second["tags"]["step.depth"] == "1"
    assert second["tags"]["step.tools"] == "look_up"
    assert first["tools"][0]["function"]["name"] == "look_up"
    assert middleware._reports is not None
    middleware._reports.shutdown(wait=True)
    assert [told["recorded"] for told in client.told] == [True, True]
    assert {told["input_tokens"] for told in client.told} == {10}


def test_a_sub_agent_has_its_own_name(client: Recorder) -> None:
    inner = create_agent(
        Model(name="own"),
        middleware=[RouterMiddleware(client=client, models=models(), agent="researcher")],
    )

    @tool
    def research(question: str) -> str:
        """Ask the researcher."""
        return last(inner.invoke({"messages": [HumanMessage(question)]}))

    outer = create_agent(
        Model(name="own"),
        tools=[look_up, research],
        middleware=[RouterMiddleware(client=client, models=models(), agent="main")],
    )
    outer.invoke({"messages": [HumanMessage("look up a word")]})
    research.invoke({"question": "who?"})
    assert [asked["tags"]["agent"] for asked in client.asked] == ["main", "main", "researcher"]


def test_the_ranking_stands_in_for_models_that_fail(client: Recorder) -> None:
    messages = [HumanMessage("hello")]
    chosen = client.route(messages=chat_messages(messages), candidates=list(NAMES))
    broken = models(**{chosen.candidate.replace("-", "_"): True})
    middleware = RouterMiddleware(client=client, models=broken)
    agent = create_agent(Model(name="own"), middleware=[middleware])
    assert last(agent.invoke({"messages": messages})) == chosen.ranking[1]
    assert middleware._reports is not None
    middleware._reports.shutdown(wait=True)
    assert [told["status"] for told in client.told] == ["failure", "success"]
    all_fail = models(candidate_0=True, candidate_1=True, candidate_2=True)
    agent = create_agent(
        Model(name="own"), middleware=[RouterMiddleware(client=client, models=all_fail)]
    )
    with pytest.raises(TimeoutError):  # what the model raised, not something of ours
        agent.invoke({"messages": messages})


def test_asynchronous_agents(client: Recorder) -> None:
    agent = create_agent(
        Model(name="own"), middleware=[RouterMiddleware(client=client, models=models())]
    )
    result = asyncio.run(agent.ainvoke({"messages": [HumanMessage("hello")]}))
    assert last(result) == client.choices[-1].candidate


@pytest.mark.parametrize(
    "options",
    [{"url": DOWN}, {"timeout_s": 1e-6}, {"url": f"{URL}/another/version"}],
    ids=["down", "slow", "wrong version"],
)
def test_no_error_of_ours_reaches_an_agent(options: dict[str, Any]) -> None:
    with Recorder(**options) as client:
        agent = create_agent(
            Model(name="own"), middleware=[RouterMiddleware(client=client, models=models())]
        )
        assert last(agent.invoke({"messages": [HumanMessage("hello")]})) == "candidate-0"
        graph = edge_graph(client)
        assert last(graph.invoke({"messages": [HumanMessage("hello")]})) == "candidate-0"
        decide = RouterDecisionModel(client=client, default="candidate-1")
        answer = ask(decide, NAMES)
        assert (answer.choice, answer.confidence) == ("candidate-1", 0.0)


def test_an_unknown_model_name_falls_back(client: Recorder) -> None:
    mine = {"candidate-0": Model(name="candidate-0"), "unheard-of": Model(name="unheard-of")}
    agent = create_agent(
        Model(name="own"), middleware=[RouterMiddleware(client=client, models=mine)]
    )
    assert last(agent.invoke({"messages": [HumanMessage("hello")]})) == "candidate-0"
    with pytest.raises(ConfigError, match="fallback must be one of"):
        RouterMiddleware(client=client, models={"other": Model(name="other")})


def ask(decide: RouterDecisionModel, labels: tuple[str, ...]) -> Any:
    question = Choice(instructions="Who?", criteria=dict.fromkeys(labels, "as fits"))
    state = HumanMessage("prove the integral")
    return decide.invoke({"state": state, "questions": {"q": question}}).choices["q"]


def test_the_decision_model_answers_with_the_routers_probabilities(client: Recorder) -> None:
    decide = RouterDecisionModel(
        client=client, default="cheap", candidates={"cheap": "candidate-0", "good": "candidate-2"}
    )
    answer = ask(decide, ("cheap", "good"))
    assert answer.choice in ("cheap", "good")
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    assert answer.probabilities[answer.choice] > 0
    assert 0 < answer.confidence <= 1
    unknown = ask(decide, ("cheap", "nobody"))
    assert (unknown.choice, unknown.confidence) == ("cheap", 0.0)
    with pytest.raises(NotImplementedError, match="Noul"):
        decide.invoke({"state": "a", "questions": {"q": Noul(instructions="Is it?")}})


@pytest.mark.parametrize("url", [URL, DOWN])
def test_langchains_own_router_takes_it(url: str) -> None:
    with Recorder(url=url) as client:
        router = ModelRouterMiddleware(
            choices={n: ModelChoice(model=m, criteria="as fits") for n, m in models().items()},
            instructions="Choose.",
            classifier=RouterDecisionModel(client=client, default="candidate-1"),
        )
        agent = create_agent(Model(name="own"), middleware=[router])
        found = last(agent.invoke({"messages": [HumanMessage("hello")]}))
    assert found in NAMES if url == URL else found == "candidate-1"


def edge_graph(client: RouterClient) -> Any:
    graph = StateGraph(MessagesState)
    for name in NAMES:
        graph.add_node(name, lambda state, name=name: {"messages": [AIMessage(name)]})
        graph.add_edge(name, END)
    graph.add_conditional_edges(START, router_edge(client, dict(zip(NAMES, NAMES, strict=True))))
    return graph.compile()


def test_an_edge_of_a_graph(client: Recorder) -> None:
    result = edge_graph(client).invoke({"messages": [HumanMessage("hello")]})
    assert last(result) == client.choices[-1].candidate
    assert client.choices[-1].source == "router"


@pytest.mark.parametrize(
    "given", [[{"role": "user", "content": "hello"}], [("user", "hello")], ["hello"]]
)
def test_an_edge_of_a_graph_that_keeps_no_message_objects(client: Recorder, given: Any) -> None:
    edge = router_edge(client, dict(zip(NAMES, NAMES, strict=True)))
    assert edge({"messages": given}) == client.choices[-1].candidate
    assert client.choices[-1].source == "router"
    assert client.asked[-1]["messages"] == [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    "asked",
    [
        [{"type": "text", "text": "what is this?"}, {"type": "image", "url": "https://x.example/a"}],
        [{"type": "text", "text": "sum it up"}, {"type": "file", "base64": "AA==",
                                                 "mime_type": "application/pdf"}],
        "<system-reminder>Mind the list.</system-reminder>\nprove the integral",
    ],
    ids=["image", "file", "reminder"],
)  # fmt: skip
def test_what_a_strangers_agent_sends_is_decided(client: Recorder, asked: Any) -> None:
    """Blocks of every kind, a turn that reasoned aloud, tools that the provider runs."""
    calls = [{"name": "look_up", "args": {"word": "x"}, "id": "1", "type": "tool_call"}]
    history = [
        SystemMessage("Be careful.", additional_kwargs={"__openai_role__": "developer"}),
        HumanMessage("look up"),
        AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "I look"}],
                  tool_calls=calls),
        ToolMessage([{"type": "text", "text": "a word"}], tool_call_id="1", name="look_up"),
        AIMessage(""),
        HumanMessage(asked),
    ]  # fmt: skip
    agent = create_agent(
        Model(name="own"),
        tools=[look_up, {"type": "web_search_preview"}],
        middleware=[RouterMiddleware(client=client, models=models())],
        system_prompt="Be brief.",
    )
    agent.invoke({"messages": history})
    assert [choice.source for choice in client.choices] == ["router"]
    assert client.asked[0]["tags"] == {"step.last": "human", "step.depth": "0"}


def test_what_a_harness_wrote_is_no_ask() -> None:
    summary = HumanMessage("Summary so far", additional_kwargs={"lc_source": "summarization"})
    calls = [{"name": "f", "args": {}, "id": "1", "type": "tool_call"}]
    messages = [
        SystemMessage("Be brief."),
        HumanMessage("hi"),
        AIMessage("", tool_calls=calls),
        ToolMessage("42", tool_call_id="1", name="f"),
        summary,
    ]
    assert [m["role"] for m in chat_messages(messages)] == ["system", "user", "assistant", "tool"]
    assert step_tags(messages)["step.tools"] == "f"
    assert step_tags([])["step.depth"] == "0"


def test_the_pages_code_runs_and_is_short() -> None:
    blocks = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 3
    for block in blocks:
        assert len([line for line in block.splitlines() if line.strip()]) <= 15
        names: dict[str, Any] = {"small": Model(name="small"), "large": Model(name="large")}
        code = block.replace("http://router:8080", URL).replace("gpt-4o-mini", "candidate-0")
        code = code.replace("gpt-4o", "candidate-2")
        exec(compile(code, "langchain.md", "exec"), names)
        assert last(names["result"]) in ("small", "large")
