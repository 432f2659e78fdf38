"""Kinds of requests: languages, lengths, tasks."""

from __future__ import annotations

from router_ml.evaluation.segmentation import UNDETERMINED, languages, segmentations, tasks
from router_ml.features.query import Query, parse_query


def test_languages_of_sentences_and_of_what_is_none() -> None:
    texts = {
        "en": "Could you summarise this contract for me in three sentences, please?",
        "de": "Kannst du mir bitte diesen Vertrag in drei Sätzen zusammenfassen?",
        "fr": "Peux-tu me résumer ce contrat en trois phrases, s'il te plaît ?",
        "ja": "この契約書を三つの文で要約してください。",
        UNDETERMINED: "17 * 23",
    }
    assert languages([Query(text) for text in texts.values()]) == list(texts)
    assert languages([Query("")]) == [UNDETERMINED]


def test_every_query_has_a_label_of_every_kind() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    queries = [parse_query("Hello"), parse_query("x" * 900), parse_query("Book it", [tool])]
    found = segmentations(queries)
    assert found["length"] == ["under 200 characters", "200 to 999", "under 200 characters"]
    assert found["tools"] == ["no tools", "no tools", "tools offered"]
    assert found["task"] == ["all"] * 3  # too few to cluster


def test_tasks_are_found_and_named_the_same_each_time() -> None:
    asks = [f"integrate the polynomial number {i}" for i in range(150)]
    asks += [f"translate this letter about {word}" for word in ("cats", "dogs") for _ in range(75)]
    first, second = (tasks([Query(ask) for ask in asks]) for _ in range(2))
    assert first == second
    assert not set(first[:150]) & set(first[150:])
    assert "integrate" in first[0]


def test_texts_without_words_are_one_task() -> None:
    assert set(tasks([Query(str(i)) for i in range(200)])) == {"all"}
