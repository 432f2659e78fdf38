"""Both decision protocols, over HTTP: choices with the policy's probabilities, and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router_ml.features.query import parse_query
from router_ml.policies.exploration import BoltzmannPolicy
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.serving.conftest import serve

ALIASES = {"SIMPLE": "candidate-0", "COMPLEX": "candidate-2", "GONE": "retired"}
ASK = "Write code."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decisions")
    make_bundle(
        folder / "bundle",
        policy=BoltzmannPolicy(cost_weight=10.0, temperature=0.2, floor=0.05),
        training={"binary_labels": True},
    )
    (folder / "aliases.json").write_text(json.dumps(ALIASES))
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    settings = {"bundle": folder / "bundle", "aliases_file": folder / "aliases.json"}
    with serve(folder / "log", **settings, decision_log=folder / "log-of-decisions") as client:
        yield client


def ask(client: httpx.Client, *questions: dict[str, Any], input: Any = ASK) -> list[dict[str, Any]]:
    body = {"model": "router", "input": input, "questions": questions}
    response = client.post("/v1/decisions", json=body)
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["answers"]
    assert len(answers) == len(questions)
    return answers


def choice(*values: str | bool) -> dict[str, Any]:
    options = [{"value": value, "description": "…"} for value in values]
    return {"type": "choice", "name": "tier", "instructions": "Pick.", "choices": options}


def test_probabilities_of_a_choice_are_the_policys(client: httpx.Client, folder: Path) -> None:
    [answer] = ask(client, choice("candidate-1", "SIMPLE", "COMPLEX"))
    runtime = Runtime.from_folder(folder / "bundle")
    probs = runtime.decide(parse_query(ASK)).action_probs
    given = [line["probability"] for line in answer["probabilities"]]
    assert given == pytest.approx([probs[1], probs[0], probs[2]], rel=1e-5)
    assert 0 < min(given) < max(given) < 1
    assert sum(given) == pytest.approx(1)
    assert answer["choice"] in ("candidate-1", "SIMPLE", "COMPLEX")
    quality = runtime.predict([parse_query(ASK)]).quality[0]
    chosen = runtime.positions[answer["candidate"]]
    assert answer["confidence"] == pytest.approx(float(quality[chosen]), rel=1e-5)
    assert "quality" in answer["calibration"]["of"]


def test_a_choice_is_among_the_labels_that_were_given(client: httpx.Client, folder: Path) -> None:
    [answer] = ask(client, choice("SIMPLE", "candidate-1"))
    runtime = Runtime.from_folder(folder / "bundle")
    limits = Constraints(candidates=("candidate-0", "candidate-1"))
    probs = runtime.decide(parse_query(ASK), limits).action_probs
    given = [line["probability"] for line in answer["probabilities"]]
    assert given == pytest.approx(probs[:2], rel=1e-5)


def test_a_draw_follows_its_probabilities(client: httpx.Client) -> None:
    answers = ask(client, *[choice("SIMPLE", "COMPLEX")] * 400)
    p = answers[0]["probabilities"][0]["probability"]
    share = sum(answer["choice"] == "SIMPLE" for answer in answers) / 400
    assert abs(share - p) < 5 * (p * (1 - p) / 400) ** 0.5


@pytest.mark.parametrize("label", ["nobody", "GONE", True])
def test_an_unknown_label_is_refused_and_nothing_else(client: httpx.Client, label: Any) -> None:
    refused, answered = ask(client, choice("SIMPLE", label), choice("SIMPLE", "COMPLEX"))
    assert refused["type"] == "refusal"
    assert refused["name"] == "tier"
    assert repr(label) in refused["reason"]
    assert answered["type"] == "choice"


def test_two_labels_of_one_candidate_share_nothing(client: httpx.Client) -> None:
    [answer] = ask(client, choice("SIMPLE", "candidate-0"))
    assert [line["probability"] for line in answer["probabilities"]] == [1.0, 0.0]
    assert answer["choice"] == "SIMPLE"


def test_choices_are_logged_and_take_feedback(client: httpx.Client, folder: Path) -> None:
    [answer] = ask(client, choice("SIMPLE", "COMPLEX"))
    feedback = {"decision_id": answer["decision_id"], "quality": 1.0}
    assert client.post("/v1/feedback", json=feedback).status_code == 202
    rows = [
        json.loads(line)
        for path in (folder / "log-of-decisions").glob("*.jsonl*")
        for line in path.read_text().splitlines()
    ]
    [row] = [
        row
        for row in rows
        if row["kind"] == "decision" and row["decision_id"] == answer["decision_id"]
    ]
    drawn = {line["value"]: line["probability"] for line in answer["probabilities"]}
    assert row["propensity"] == pytest.approx(drawn[answer["choice"]])
    assert row["candidate"] == ALIASES[answer["choice"]]


def test_predicates_and_scores_that_the_router_knows(client: httpx.Client, folder: Path) -> None:
    runtime = Runtime.from_folder(folder / "bundle")
    predictions = runtime.predict([parse_query(ASK)])
    _, cost = runtime.priced(predictions)
    predicate, quality, dollars = ask(
        client,
        {"type": "predicate", "name": "p", "instructions": "Will SIMPLE reach quality 0.8?"},
        {
            "type": "score",
            "name": "q",
            "instructions": "Expected quality of candidate-1",
            "levels": [{"label": "0"}, {"label": "0.5"}, {"label": "1"}],
        },
        {
            "type": "score",
            "name": "c",
            "instructions": "expected cost_usd of COMPLEX?",
            "levels": [{"label": "0"}, {"label": "1"}],
        },
    )
    assert predicate["probability"] == pytest.approx(float(predictions.quality[0, 0]), rel=1e-5)
    assert quality["expected"] == pytest.approx(float(predictions.quality[0, 1]), rel=1e-5)
    assert quality["score"] == pytest.approx(2 * quality["expected"])
    mean = sum(line["value"] * line["probability"] for line in quality["probabilities"])
    assert quality["score"] == pytest.approx(mean)
    assert dollars["expected"] == pytest.approx(float(cost[0, 2]), rel=1e-5)
    assert dollars["calibration"] is None


@pytest.mark.parametrize(
    "question",
    [
        {"type": "predicate", "instructions": "Is this urgent?"},
        {"type": "predicate", "instructions": "Will SIMPLE reach quality 1.5?"},
        {"type": "predicate", "instructions": "Will nobody reach quality 0.5?"},
        {"type": "predicate", "instructions": [{"type": "input_text", "text": "Urgent?"}]},
        {"type": "score", "instructions": "How angry?", "levels": [{"label": "1"}]},
        {
            "type": "score",
            "instructions": "Expected quality of SIMPLE",
            "levels": [{"label": "low"}, {"label": "high"}],
        },
        {
            "type": "score",
            "instructions": "Expected quality of SIMPLE",
            "levels": [{"label": "1"}, {"label": "0"}],
        },
        {"type": "box", "instructions": "The mug."},
        {"type": "choice", "instructions": "Pick.", "choices": []},
    ],
)
def test_what_the_router_does_not_know_is_refused(
    client: httpx.Client, question: dict[str, Any]
) -> None:
    [answer] = ask(client, question)
    assert answer["type"] == "refusal"
    assert answer["reason"]


def test_without_binary_labels_a_predicate_is_refused(tmp_path: Path, bundle: Path) -> None:
    question = {"type": "predicate", "instructions": "Will candidate-0 reach quality 0.8?"}
    with serve(tmp_path / "log", bundle=bundle) as client:
        [answer] = ask(client, question)
    assert answer["type"] == "refusal"
    assert "graded" in answer["reason"]


def test_system_one_answers_by_name_and_leaves_refusals_out(client: httpx.Client) -> None:
    body = {
        "model": "jev-latest",
        "state": {"messages": [{"role": "user", "content": ASK}]},
        "questions": {
            "tier": {"type": "choice", "criteria": {"SIMPLE": "easy", "COMPLEX": "hard"}},
            "other": {"type": "choice", "criteria": {"SIMPLE": "easy", "nobody": "?"}},
            "good": {"type": "noul", "instructions": "Will SIMPLE reach quality 1?"},
            "scale": {
                "type": "score",
                "instructions": "Expected latency_ms of SIMPLE",
                "criteria": ["0", "1000", "100000"],
            },
            "odd": {"type": "score", "instructions": "How angry?", "criteria": {"a": "b"}},
        },
    }
    answer = client.post("/v1/systemone", json=body).json()
    assert set(answer["answers"]) == {"tier", "good", "scale"}
    assert set(answer["refusals"]) == {"other", "odd"}
    tier = answer["answers"]["tier"]
    assert sum(tier["probabilities"].values()) == pytest.approx(1)
    assert tier["choice"] in tier["probabilities"]
    assert "noul" not in tier
    scale = answer["answers"]["scale"]
    assert scale["legend"] == {"0": "0", "1": "1000", "2": "100000"}
    assert answer["usage"] == {"input_tokens": 0, "output_tokens": 0}


@pytest.mark.parametrize(
    "state",
    [
        "Translate it.\n",
        [{"role": "user", "content": [{"type": "input_text", "text": "Translate it."}]}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Translate it."}],
        {"role": "user", "content": "Translate it."},
        [{"role": "user", "content": '[{"role": "user", "content": "Translate it."}]'}],
        "\nCaller system prompt, quoted as task context:\nBe brief.\n\nClassify this message:\n"
        "Translate it.",
    ],
)
def test_the_ask_is_found_in_every_form(client: httpx.Client, folder: Path, state: Any) -> None:
    quality = Runtime.from_folder(folder / "bundle").predict([parse_query("Translate it.")]).quality
    [answer] = ask(
        client,
        {
            "type": "score",
            "instructions": "Expected quality of candidate-0",
            "levels": [{"label": "0"}, {"label": "1"}],
        },
        input=state if isinstance(state, str | list) else [state],
    )
    assert answer["expected"] == pytest.approx(float(quality[0, 0]), rel=0.05)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": "a", "questions": []}, 422),
        ({"questions": [choice("SIMPLE", "COMPLEX")]}, 422),
        ({"input": "", "questions": [choice("SIMPLE", "COMPLEX")]}, 422),
        ({"input": [7], "questions": [choice("SIMPLE", "COMPLEX")]}, 200),
    ],
)
def test_wrong_bodies(client: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert client.post("/v1/decisions", json=body).status_code == status


def test_an_alias_table_that_is_none_stops_the_start(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "aliases.json").write_text("[]")
    with (
        pytest.raises(RuntimeError, match=r"aliases\.json must be JSON such as"),
        serve(tmp_path / "log", bundle=bundle, aliases_file=tmp_path / "aliases.json"),
    ):
        pass
