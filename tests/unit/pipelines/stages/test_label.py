"""Labels proposed, asked for at an endpoint that fails, read back, joined."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import pytest

import router_ml as rm
from pipelines import cli
from pipelines.config import LabelConfig
from pipelines.stages.judge import PROMPT, Judge, ask_all, judge_from, read_score, verdict_rows
from pipelines.stages.label_proposal import read_proposal
from pipelines.stages.verdicts import read_verdicts
from router_ml.client.connection import Connections
from router_ml.errors import ConfigError, DataError, SchemaError
from router_ml.evaluation.off_policy.weighting import label_probability

GOOD = ['{"score": 4}', 'Fine.\n```json\n{"why": "ok", "score": "4"}\n```', "**Score: 4/5**"]
REQUESTS = [{"request_id": f"r{i}", "prompt": f"ask {i}", "answer": f"told {i}"} for i in range(24)]


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint: every third first try fails, some requests always do."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tries: dict[str, int] = {}
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.stubborn = {"ask 5": "I cannot judge this.", "ask 7": '{"score": 9}'}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        time.sleep(0.005)
        status, text = self._answer(body)
        with self.server.lock:
            self.server.now -= 1
        reply = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]})
        data = b"overloaded" if status != 200 else reply.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, body: dict[str, Any]) -> tuple[int, str]:
        if self.headers["Authorization"] != "Bearer secret" or self.path != "/v1/chat/completions":
            return 401, ""
        found = re.search(r"ask \d+", body["messages"][0]["content"])
        ask = "ask 1" if found is None else found[0]
        number = int(ask[4:])
        with self.server.lock:
            self.server.tries[ask] = tried = self.server.tries.get(ask, 0) + 1
        if ask in self.server.stubborn:
            return 200, self.server.stubborn[ask]
        if tried == 1 and number % 3 == 0:
            return (429, 500, 200)[number // 3 % 3], "4 or 5?"
        return 200, GOOD[number % len(GOOD)]

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def judge(endpoint: Endpoint, key: str = "secret") -> Judge:
    return Judge(
        connections=Connections(url=endpoint.url, kept=4), model="judge", key=key,
        template=Template(PROMPT), low=1.0, high=5.0, attempts=3, pause_s=0.0,
    )  # fmt: skip


def test_a_judge_is_asked_until_it_answers(endpoint: Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    told, refused = ask_all(judge(endpoint), REQUESTS, path, concurrency=3)
    assert (told, refused) == (22, 2)
    rows = {row["request_id"]: row for row in verdict_rows(path)}
    assert {row["score"] for key, row in rows.items() if key not in ("r5", "r7")} == {0.75}
    assert "no score" in rows["r5"]["problem"]
    assert "must be in [1, 5], got 9" in rows["r7"]["problem"]
    assert 1 < endpoint.most <= 3
    assert endpoint.tries["ask 3"] == 2
    assert endpoint.tries["ask 5"] == 3

    # The next call asks only what has no verdict, though the file was cut off in a line.
    with path.open("a") as out:
        out.write('{"request_id": "r99", "sc')
    endpoint.stubborn.clear()
    endpoint.tries.clear()
    assert ask_all(judge(endpoint), REQUESTS, path, concurrency=3) == (24, 0)
    assert set(endpoint.tries) == {"ask 5", "ask 7"}
    assert len(verdict_rows(path)) == 26


def test_a_wrong_key_stops_at_once(endpoint: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="answered 401"):
        ask_all(judge(endpoint, "wrong"), REQUESTS, tmp_path / "v.jsonl", concurrency=2)


def test_no_reply_is_no_verdict() -> None:
    silent = Judge(
        connections=Connections(url="http://127.0.0.1:9", kept=1), model="m", key="",
        template=Template(PROMPT), low=0.0, high=1.0, attempts=2, pause_s=0.0,
    )  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        score, problem = pool.submit(silent.verdict, "a", "b").result()
    assert score is None
    assert "no reply" in problem


@pytest.mark.parametrize(
    "reply",
    ["", "4", "Score: 3 or 4", '{"score": true}', '{"score": NaN}', '{"score": 4} {"score": 2}',
     "Score: 7/10", '{"score": "high"}', "Score: 4\nScore: 2"],
)  # fmt: skip
def test_what_is_no_score_is_refused(reply: str) -> None:
    with pytest.raises(DataError):
        read_score(reply, 1.0, 5.0)


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="--url"):
        judge_from(LabelConfig(action="ask"))
    with pytest.raises(ConfigError, match="OPENAI_API_KEY must be set"):
        judge_from(LabelConfig(action="ask", url="http://localhost:1", model="m"))
    (tmp_path / "p.txt").write_text("Grade $answer {json}")
    with pytest.raises(ConfigError, match=r"\$prompt"):
        judge_from(LabelConfig(action="ask", url="http://localhost:1", model="m",
                               key_variable="", prompt=tmp_path / "p.txt"))  # fmt: skip


def test_from_proposal_to_labels_that_join_reads(
    endpoint: Endpoint, tmp_path: Path, encoder_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = pd.read_csv(rm.sample("labels.csv"))
    kept = labels.groupby("request_id").ngroup() % 4 == 0
    log = rm.read_log(rm.sample("litellm.jsonl.gz"), labels=labels[kept],
                      prices=rm.sample("prices.json"))  # fmt: skip
    router = rm.fit(log, estimator="linear", cache=encoder_cache)
    proposal = rm.propose_labels(router, budget=120)
    assert 80 < len(proposal.requests) < 160
    assert (proposal.power["half_width"] <= proposal.power["half_width_even"] * 1.001).all()
    assert proposal.power["half_width"].is_monotonic_decreasing
    proposal.save(tmp_path)

    assert router.trained is not None
    common = ["--output", str(tmp_path), "--joined", str(log.folder)]
    cli.run(["label", "propose", *common, "--bundle", str(router.bundle),
             "--trained", str(router.trained), "--budget", "120"])  # fmt: skip
    drawn = read_proposal(tmp_path)
    pd.testing.assert_frame_equal(drawn, proposal.requests, check_dtype=False)
    people = pd.read_csv(tmp_path / "proposal.csv")
    assert list(people) == ["request_id", "prompt", "answer", "score"]

    # The judge that the environment names.
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
    cli.run(["label", "ask", *common, "--model", "judge", "--low", "1", "--high", "5"])
    cli.run(["label", "read", *common, "--low", "1", "--high", "5"])
    judged_all = pd.read_csv(tmp_path / "labels.csv")
    assert set(judged_all["request_id"]) == set(drawn["request_id"])
    assert set(judged_all["value"]) == {0.75}
    np.testing.assert_allclose(
        judged_all.set_index("request_id").loc[drawn["request_id"], "label_prob"],
        drawn["label_prob"],
    )

    # People judge most of them, and a few that have a label already.
    truth = labels[labels["name"] == "correct"].groupby("request_id")["value"].mean()
    judged = people[people["request_id"].isin(truth.index)].head(70)
    told = log.outcomes.loc[log.outcomes["quality"].notna(), "request_id"]
    both = told[told.isin(truth.index)].head(40)
    scores = pd.DataFrame({"request_id": [*judged["request_id"], *both]})
    scores["score"] = 1 + 4 * truth.reindex(scores["request_id"]).to_numpy()
    scores.to_csv(tmp_path / "people.csv", index=False)
    cli.run(["label", "read", *common, "--verdicts", str(tmp_path / "people.csv"),
             "--low", "1", "--high", "5", "--source", "human"])  # fmt: skip
    found = json.loads((tmp_path / "verdicts.json").read_text())
    assert found["kappa"]["n"] == 40
    assert found["kappa"]["value"] > 0.6

    wider = rm.read_log(rm.sample("litellm.jsonl.gz"), prices=rm.sample("prices.json"),
                        labels=[labels[kept], tmp_path / "labels.csv"])  # fmt: skip
    assert int(wider.outcomes["label_prob"].notna().sum()) == len(judged)
    table = wider.table()
    probs = label_probability(table)
    new = np.isfinite(table.label_prob)
    until = table.time <= table.time[new].max()
    np.testing.assert_allclose(probs[new], table.label_prob[new])
    old = np.isfinite(table.quality) & ~new & until
    np.testing.assert_allclose(probs[old], 1.0)
    # Who was drawn stands for those that were not: their weights add up to what is left.
    left = (~old & until).sum()
    assert abs((1.0 / probs[new]).sum() - left) < 0.35 * left


def test_a_judge_needs_answers(tmp_path: Path) -> None:
    row = {"request_id": "a", "prompt": "p", "answer": "", "label_prob": 0.5, "group": 0}
    (tmp_path / "proposal.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match="needs answers"):
        cli.run(["label", "ask", "--output", str(tmp_path)])


def test_odd_verdicts_are_refused(tmp_path: Path) -> None:
    proposal = pd.DataFrame({"request_id": ["a", "b"], "label_prob": [0.5, 0.2], "group": [0, 0]})
    for text, wrong, message in (
        ("request_id,score\na,7\n", SchemaError, r"in \[0, 1\], got"),
        ("request_id,score\na,1\na,0\n", DataError, "several scores"),
        ("id,score\na,1\n", SchemaError, "lacks request_id"),
        ("request_id,score\nz,1\n", DataError, "none of 2"),
    ):
        (tmp_path / "v.csv").write_text(text)
        with pytest.raises(wrong, match=message):
            read_verdicts(proposal, [tmp_path / "v.csv"])
    (tmp_path / "v.csv").write_text("request_id,score\na,1\nb,\n")
    found = read_verdicts(proposal, [tmp_path / "v.csv"])
    assert found.labels["label_prob"].tolist() == [0.25]
    assert found.kappa is None
