"""Logs as strangers keep them: another language, nested records, structs of a warehouse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipelines.config import JoinConfig, load_config
from pipelines.inspect.draft import draft
from pipelines.stages.join import run
from pipelines.stages.run import RunConfig
from router_ml.data.outcomes import read_outcomes

MODELS = ("hausmodell-klein", "hausmodell-gross")
START = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
N = 80
FIRST_ID = 2**53 + 1


def read(files: list[str], folder: Path, **changes: Any) -> tuple[dict[str, Any], Any, str]:
    """Join what the draft says: accounts, outcomes in order of time, and the draft."""
    text = draft(files)
    made = load_config(RunConfig, overrides=yaml.safe_load(text))
    parts = {"requests": made.requests, "labels": made.labels, "prices": made.prices}
    config = load_config(
        JoinConfig, overrides={**parts, "output": folder / "out", **made.join, **changes}
    )
    out = run(config)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report["accounting"], read_outcomes(out).sort_values("time"), text


def question(i: int) -> str:
    return f"Wie lange dauert die Lieferung von Auftrag {i} nach Köln?"


@pytest.fixture
def german(tmp_path: Path) -> list[str]:
    """Semicolons, cp1252, decimal commas, local times, words; two costs, one of them in euros."""
    rows = []
    for i in range(N):
        when = (START + timedelta(minutes=i, hours=1)).strftime("%d.%m.%Y %H:%M:%S")
        cost = (100 + i) * (1e-6, 4e-6)[i % 2] + 50 * (2e-6, 8e-6)[i % 2]
        usd, euros = (f"{value:.8f}".replace(".", ",") for value in (cost, 0.92 * cost))
        status = "fehlgeschlagen" if i == 7 else "erfolgreich"
        rows.append(f"V-{i};{when};{question(i)};{MODELS[i % 2]};{100 + i};50;{euros};{usd};"
                    f"0,{50 + i % 40};{status}")  # fmt: skip
    header = ("Vorgangsnummer;Zeitpunkt;Kundenfrage;Modell;Eingabe-Tokens;Ausgabe-Tokens;"
              "Kosten (EUR);Kosten (USD);Dauer (s);Status")  # fmt: skip
    labels = [f"V-{i};04.03.2026;{('gut', 'schlecht')[i % 3 == 0]}" for i in range(N)]
    prices = [f"{MODELS[0]};1,00;2,00", f"{MODELS[1]};4,00;8,00"]
    files = {
        "anfragen.csv": [header, *rows],
        "bewertungen.csv": ["Vorgang;Datum;Bewertung", *labels],
        "preise.csv": ["Modell;Eingabe USD pro 1 Mio. Tokens;Ausgabe USD pro 1 Mio. Tokens",
                       *prices],
    }  # fmt: skip
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines), encoding="cp1252")
    return [str(tmp_path / name) for name in files]


def test_a_german_export_is_read_as_it_is(tmp_path: Path, german: list[str]) -> None:
    account, rows, text = read(german, tmp_path, time_zone="Europe/Berlin")
    assert [account[s]["used"] for s in ("requests", "labels", "prices")] == [N, N - 1, 2]
    assert "cost_usd: Kosten (USD)" in text
    assert rows["query"].tolist()[:2] == [question(0), question(1)]
    assert rows["time"].iloc[0] == pd.Timestamp("2026-03-02 07:00:00")
    assert rows["status"].tolist().count("failure") == 1
    assert rows["latency_ms"].iloc[0] == 500.0
    assert rows["quality"].tolist()[:3] == [0.0, 1.0, 1.0]
    assert rows["cost_usd"].iloc[1] == pytest.approx(101 * 4e-6 + 50 * 8e-6)


def test_statuses_that_nobody_knows_are_asked_for(tmp_path: Path, german: list[str]) -> None:
    path = Path(german[0])
    said = path.read_text(encoding="cp1252").replace("fehlgeschlagen", "vielleicht")
    path.write_text(said, encoding="cp1252")
    account, _, text = read(german, tmp_path, time_zone="Europe/Berlin")
    assert "NOT USED: column Status" in text
    assert "vielleicht" in text
    assert account["requests"]["used"] == N
    fields = {**yaml.safe_load(text)["join"]["request_fields"], "status": "Status"}
    words = {"erfolgreich": "success", "vielleicht": "failure"}
    _, rows, _ = read(
        german, tmp_path, time_zone="Europe/Berlin", request_fields=fields, status_values=words
    )
    assert rows["status"].tolist().count("failure") == 1


def messages(i: int, form: str) -> list[dict[str, Any]]:
    """One conversation of two turns in the form of a framework."""
    turns = [("human", "Guten Tag"), ("ai", "Was kann ich tun?"), ("human", question(i))]
    if form == "langchain":
        return [{"type": who, "data": {"content": text}} for who, text in turns]
    if form == "constructor":
        return [
            {"lc": 1, "type": "constructor", "id": ["langchain", who],
             "kwargs": {"type": who, "content": text}}
            for who, text in turns
        ]  # fmt: skip
    if form == "sharegpt":
        return [{"from": {"ai": "gpt"}.get(who, who), "value": text} for who, text in turns]
    if form == "gemini":
        return [
            {"role": {"ai": "model", "human": "user"}[who], "parts": [{"text": text}]}
            for who, text in turns
        ]
    return [{"sender": {"ai": "bot", "human": "customer"}[who], "text": t} for who, t in turns]


@pytest.mark.parametrize("form", ["langchain", "constructor", "sharegpt", "gemini", "speaker"])
def test_runs_of_an_agent_framework_are_read(tmp_path: Path, form: str) -> None:
    runs = [
        {
            "run": {
                "uuid": f"run-{i}",
                "thread": f"thread-{i // 2}",
                "started_at": (START + timedelta(minutes=i)).isoformat(),
                "ended_at": (START + timedelta(minutes=i, seconds=2)).isoformat(),
            },
            "llm": {"deployment": MODELS[i % 2]},
            "inputs": {"messages": messages(i, form)},
            "outputs": {"generations": [[{"text": "Zwei Tage, wenn alles so bleibt wie bisher.",
                        "usage": {"input_tokens": 30 + i, "output_tokens": 9}}]]},
        }
        for i in range(N)
    ]  # fmt: skip
    feedback = [
        {"run_id": f"run-{i}", "score": i % 2 == 0, "created_at": "2026-03-04T00:00:00Z",
         "feedback_source": {"type": "api"}}
        for i in range(N)
    ]  # fmt: skip
    entries = [
        {"name": name, "pricing": {"prompt": 1.0 + i, "completion": 2.0 + i}}
        for i, name in enumerate(MODELS)
    ]
    for name, lines in (("runs", runs), ("feedback", feedback)):
        text = "\n".join(map(json.dumps, lines))
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "models.json").write_text(json.dumps({"models": entries}), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("models.json", "feedback.jsonl", "runs.jsonl")]
    account, rows, _ = read(files, tmp_path)
    assert [account[s]["used"] for s in ("requests", "labels", "prices")] == [N, N, 2]
    assert rows["query"].iloc[0] == f"{question(0)}\nGuten Tag"
    assert rows["latency_ms"].tolist() == [2_000.0] * N
    assert rows["session_id"].nunique() == N // 2
    assert rows["quality"].mean() == 0.5


def test_structs_of_a_warehouse_are_looked_into(tmp_path: Path) -> None:
    events = [
        {"event_id": FIRST_ID + i, "event_ts": START + timedelta(minutes=i),
         "request": {"prompt": question(i), "max_tokens": 512},
         "response": {"model": MODELS[i % 2], "latency_ms": 400.0,
                      "usage": {"prompt_tokens": 30 + i, "completion_tokens": 9}},
         "dt": "2026-03-02"}
        for i in range(N)
    ]  # fmt: skip
    pd.DataFrame(events).to_parquet(tmp_path / "events.parquet")
    ratings = pd.DataFrame(
        {"event_id": [FIRST_ID + i for i in range(N)], "rating": [1 + i % 5 for i in range(N)],
         "rated_at": [START + timedelta(days=1)] * N}
    )  # fmt: skip
    ratings.to_parquet(tmp_path / "ratings.parquet")
    prices = {name: {"in": 1.0 + i, "out": 2.0 + i} for i, name in enumerate(MODELS)}
    (tmp_path / "prices.json").write_text(json.dumps(prices), encoding="utf-8")
    names = ("ratings.parquet", "prices.json", "events.parquet")
    account, rows, _ = read([str(tmp_path / name) for name in names], tmp_path)
    assert [account[s]["used"] for s in ("requests", "labels", "prices")] == [N, N, 2]
    assert rows["request_id"].tolist()[:2] == [str(FIRST_ID), str(FIRST_ID + 1)]
    assert rows["quality"].tolist()[:5] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert rows["cost_usd"].iloc[0] == pytest.approx(30 * 1e-6 + 9 * 2e-6)


def test_json_inside_a_column_of_text_is_looked_into(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "ts": [(START + timedelta(minutes=i)).isoformat() for i in range(N)],
            "call_id": [f"c-{i}" for i in range(N)],
            "model": [MODELS[i % 2] for i in range(N)],
            "payload": [
                json.dumps({"messages": [{"role": "user", "content": question(i)}]})
                for i in range(N)
            ],
            "usage": [json.dumps({"input_tokens": 9 + i, "output_tokens": 5}) for i in range(N)],
        }
    )
    rows.to_csv(tmp_path / "calls.csv", index=False)
    prices = {name: {"in": 1.0, "out": 2.0} for name in MODELS}
    (tmp_path / "prices.json").write_text(json.dumps(prices), encoding="utf-8")
    files = [str(tmp_path / name) for name in ("calls.csv", "prices.json")]
    account, found, _ = read(files, tmp_path)
    assert account["requests"]["used"] == N
    assert found["query"].iloc[0] == question(0)
    assert found["input_tokens"].tolist() == [9 + i for i in range(N)]
