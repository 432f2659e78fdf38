"""The loop with a real registry: killed at every step, held twice, rolled back, in the shadow."""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipelines.config import RegisterConfig
from pipelines.loop.config import LoopConfig
from pipelines.loop.due import open_alarms
from pipelines.loop.machine import run
from pipelines.loop.state import HELD, LoopState
from pipelines.loop.store import Store
from pipelines.options import dump_config
from pipelines.registry.versions import (
    champion_history,
    champion_version,
    download_bundle,
    registry_client,
)
from pipelines.stages import promote, register
from router_ml.bundle.files import read_bundle
from router_ml.errors import ChampionMovedError, ConfigError
from tests.loop_killed import killed_loop
from tests.loop_world import CANDIDATES, GOOD, PROMOTE, loop_config, write_log
from tests.promotion_world import MLFLOW_WARNINGS, exported, sqlite_store

mlflow = pytest.importorskip("mlflow")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(*MLFLOW_WARNINGS)]
KILLS = (
    ("collect", "after"),
    ("join", "after"),
    ("drift", "after"),
    ("watch", "after"),
    ("due", "after"),
    ("train", "after"),
    ("export", "after"),
    ("evaluate", "after"),
    ("register", "create_model_version"),
    ("gate", "log_dict"),
    ("promote", "set_registered_model_alias"),
)
"""Every step of a first cycle; those that write to the registry amid their writes. Rollback and the
shadow, which need a predecessor and a champion, are killed in their own tests."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_store(tmp_path))
    mlflow.set_tracking_uri(None)
    return tmp_path


def state_of(config: LoopConfig) -> LoopState:
    store = Store.below(config.output, name=config.name)
    try:
        return LoopState.read(store.load())
    finally:
        store.close()


def in_a_process(config: Path, step: str = "", place: str = "") -> int:
    """Exit code of a loop in a process of its own, forked from one that has all imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.loop_killed"])
    uri = os.environ["MLFLOW_TRACKING_URI"]
    process = context.Process(target=killed_loop, args=(uri, str(config), step, place))
    process.start()
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def test_a_loop_killed_at_every_step_reaches_the_same_champion(root: Path) -> None:
    write_log(root / "decisions" / "decisions-a.jsonl", 0, 400)
    config = loop_config(root, lease_s=0.3, evaluation=True)
    dump_config(config, root / "loop.yaml")
    whole = replace(config, output=root / "whole", name="whole")
    assert run(whole) == 0
    wanted = read_bundle(root / "whole" / "cycles" / "00001" / "export" / "bundle")
    for step, place in KILLS:
        assert in_a_process(root / "loop.yaml", step, place) == -9, (step, place)
        assert state_of(config).step == step
        time.sleep(0.3)  # until its lease has ended
    assert in_a_process(root / "loop.yaml") == 0
    assert (state_of(config).outcome, state_of(config).cycle) == ("promoted", 1)
    client = registry_client()
    versions = client.search_model_versions("name = 'router'")
    assert [str(v.version) for v in versions] == ["1"]
    assert champion_history(client, "router") == ["1"]
    assert versions[0].tags["retrained_because"] == "the first router"
    bundle = read_bundle(root / "loop" / "cycles" / "00001" / "export" / "bundle")
    assert versions[0].tags["bundle_id"] == bundle.manifest.bundle_id
    assert bundle.files["router.onnx"] == wanted.files["router.onnx"]
    assert bundle.files["policy.json"] == wanted.files["policy.json"]
    runs = client.search_runs(
        [client.get_experiment_by_name("router").experiment_id],
        "attributes.status = 'RUNNING'",
    )
    assert runs == []


def test_of_two_loops_one_is_told_to_come_again(root: Path) -> None:
    write_log(root / "decisions" / "decisions-a.jsonl", 0, 50)
    config = loop_config(root)
    store = Store.below(config.output, name=config.name)
    store.acquire()
    assert run(config) == HELD
    assert state_of(config) == LoopState()
    store.release()
    store.close()


def test_a_champion_worse_than_its_predecessor_is_rolled_back(root: Path) -> None:
    log = write_log(root / "decisions" / "decisions-a.jsonl", 0, 300)
    for policy, before in (("candidate-2", None), ("candidate-0", "1")):
        version = register.run(RegisterConfig(bundle=exported(root / policy, policy)))
        promote.move("router", version, expected=before)
    config = named_like_bundles(
        loop_config(root, detailed_exit_code=True, retrain_labels=10_000, lease_s=0.3)
    )
    rename(log)
    assert run(config) == 0
    assert (state_of(config).watched, state_of(config).predecessor) == ("2", "1")
    later = write_log(
        root / "decisions" / "decisions-b.jsonl",
        1_000,
        400,
        hours_ago=0.0,
        probs=(0.4, 0.2, 0.4),
    )
    rename(later)
    time.sleep(1.6)  # until all of it has happened
    dump_config(config, root / "loop.yaml")
    # killed when the history is written and the alias has not moved
    assert in_a_process(root / "loop.yaml", "rollback", "set_registered_model_tag") == -9
    assert (state_of(config).step, champion_version("router")) == ("rollback", "2")
    time.sleep(0.3)
    assert run(config) == 13
    assert champion_history(registry_client(), "router") == ["1"]
    assert champion_version("router") == "1"
    tags = registry_client().get_model_version("router", "2").tags
    assert tags["rolled_back_by"] == "router-ml loop"
    assert "version 1 less version 2" in tags["rolled_back_reason"]
    assert state_of(config).outcomes == {"not due": 1, "rolled back": 1}


def named_like_bundles(config: LoopConfig) -> LoopConfig:
    """Prices of candidates as the bundles of known worth name them."""
    prices = {f"candidate-{k}": {"input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7}
              for k in range(3)}  # fmt: skip
    Path(config.prices[0]).write_bytes(orjson.dumps(prices))
    return config


def rename(log: Path) -> None:
    text = log.read_bytes()
    for k, name in enumerate(CANDIDATES):
        text = text.replace(f'"{name}"'.encode(), f'"candidate-{k}"'.encode())
    log.write_bytes(text)


def test_a_challenger_waits_in_the_shadow_until_it_has_decided_enough(root: Path) -> None:
    log = write_log(root / "decisions" / "decisions-a.jsonl", 0, 400)
    config = loop_config(root, shadow_requests=20, detailed_exit_code=True, lease_s=0.3)
    dump_config(config, root / "loop.yaml")
    assert run(config) == 10  # before the first champion there is nobody to decide beside
    changed = {"small": 0.95, "medium": 0.5, "large": 0.05}
    write_log(log, 400, 600, good=changed, hours_ago=1.0)
    assert run(config) == 12
    assert champion_version("router") == "1"
    waiting = state_of(config)
    challenger = read_bundle(root / "loop" / "cycles" / "00002" / "export" / "bundle").files
    killed_in_the_shadow(root, config)  # which has decided too little
    assert run(config) == 12
    assert state_of(config).shadow_since == waiting.shadow_since
    shadow(log, 1_000, 20, version="2")
    killed_in_the_shadow(root, config)  # which has decided enough
    assert run(config) == 10
    assert champion_version("router") == "2"
    versions = registry_client().search_model_versions("name = 'router'")
    assert sorted(str(version.version) for version in versions) == ["1", "2"]
    assert read_bundle(download_bundle("router", "2", root / "fetched")).files == challenger
    assert (state_of(config).watched, state_of(config).predecessor) == ("2", "1")
    tags = registry_client().get_model_version("router", "2").tags
    assert "600 new labels" in tags["retrained_because"]
    assert "alarm" in tags["retrained_because"]


def test_a_challenger_needs_an_experiment_where_that_is_asked_for(root: Path) -> None:
    log = write_log(root / "decisions" / "decisions-a.jsonl", 0, 300)
    promote.move(
        "router",
        register.run(RegisterConfig(bundle=exported(root / "former", "candidate-0"))),
        expected=None,
    )
    config = named_like_bundles(
        loop_config(
            root,
            needs_experiment=True,
            experiment_units=300,
            retrain_labels=10_000,
            detailed_exit_code=True,
            promote={**PROMOTE, "override_by": "a person", "override_reason": "a trial"},
        )
    )
    rename(log)
    assert run(replace(config, because="a trial")) == 12
    assert "no decision of an experiment with version 2" in state_of(config).said
    worse, better = (dict.fromkeys(GOOD, q) for q in (0.3, 0.8))
    tried: dict[str, Any] = {"experiment": "e", "unit": str, "challenger_share": 0.5}
    challenger = {**tried, "good": better, "arm": "challenger", "version": "2"}
    for begin, hours_ago in ((1_000, 1.0), (1_100, 0.5)):
        rename(write_log(log.with_name("decisions-b.jsonl"), begin, 100, hours_ago=hours_ago,
                         **challenger))  # fmt: skip
    assert run(config) == 12
    assert "beside champion 1 alone; by the latest, champions are none" in state_of(config).said
    champion = {**tried, "good": worse, "arm": "champion", "hours_ago": 0.7}
    rename(write_log(log.with_name("decisions-c.jsonl"), 2_000, 200, **champion))
    assert run(config) == 10
    assert champion_version("router") == "2"


def test_a_champion_collapses_while_a_challenger_waits_in_the_shadow(root: Path) -> None:
    log = write_log(root / "decisions" / "decisions-a.jsonl", 0, 300, probs=(0.2, 0.4, 0.4))
    for policy, before in (("candidate-1", None), ("candidate-2", "1")):
        version = register.run(RegisterConfig(bundle=exported(root / policy, policy)))
        promote.move("router", version, expected=before)
    measures = root / "measures.json"
    config = loop_config(
        root,
        shadow_requests=20,
        retrain_labels=10_000,
        detailed_exit_code=True,
        promote={**PROMOTE, "override_by": "a person", "override_reason": "a trial"},
        monitor={"measures": measures},
    )
    config = named_like_bundles(config)
    rename(log)
    assert run(replace(config, because="a trial")) == 12
    assert (champion_version("router"), state_of(config).version) == ("2", "3")
    fallen = {"small": 0.3, "medium": 0.9, "large": 0.05}
    later = write_log(
        log.with_name("decisions-b.jsonl"), 1_000, 500, good=fallen, hours_ago=0.0,
        probs=(0.2, 0.4, 0.4),
    )  # fmt: skip
    rename(later)
    time.sleep(1.6)  # until all of it has happened
    assert run(config) == 13
    state = state_of(config)
    assert any("quality of candidate-2" in str(alarm["text"]) for alarm in state.alarms)
    assert [*orjson.loads(measures.read_bytes())["masked"]] == ["candidate-2"]
    assert (champion_version("router"), state.version) == ("1", "3")
    assert run(config) == 12  # judged again, against the champion that came back
    assert state_of(config).champion == "1"
    shadow(log, 2_000, 20, version="3")
    assert run(config) == 10
    assert champion_history(registry_client(), "router") == ["1", "3"]
    assert state_of(config).answered == ()  # it was trained before the alarm
    assert open_alarms(state_of(config)) != []


def test_traffic_that_the_champion_was_not_trained_on_raises_an_alarm(root: Path) -> None:
    log = write_log(root / "decisions" / "decisions-a.jsonl", 0, 400)
    config = loop_config(root, min_labels=10_000)
    assert run(config) == 0
    champion = read_bundle(root / "loop" / "cycles" / "00001" / "export" / "bundle")
    bundle_id = champion.manifest.bundle_id
    write_log(log, 400, 200, hours_ago=1.0, bundle_id=bundle_id)
    assert run(config) == 0
    assert state_of(config).alarms == ()
    write_log(log, 600, 200, hours_ago=0.5, says=" Wie schreibe ich Dir?", bundle_id=bundle_id)
    assert run(config) == 0
    said = [str(alarm["text"]) for alarm in open_alarms(state_of(config))]
    assert any(text.startswith("traffic of traffic on ") for text in said), said
    assert [path.name for path in (root / "loop" / "champion").iterdir()] == ["1"]


def killed_in_the_shadow(root: Path, config: LoopConfig) -> None:
    assert in_a_process(root / "loop.yaml", "shadow", "after") == -9
    assert (state_of(config).step, champion_version("router")) == ("shadow", "1")
    time.sleep(0.3)


def shadow(log: Path, begin: int, n: int, *, version: str) -> None:
    rows = [
        {"kind": "shadow", "decision_id": f"d-{i}", "arm": "challenger", "router_version": version}
        for i in range(begin, begin + n)
    ]
    with log.open("ab") as file:
        file.write(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def test_a_champion_that_was_moved_meanwhile_is_not_overruled(root: Path) -> None:
    for policy in ("candidate-1", "candidate-2"):
        register.run(RegisterConfig(bundle=exported(root / policy, policy)))
    promote.move("router", "1", expected=None)
    with pytest.raises(ChampionMovedError, match="version none was judged"):
        promote.move("router", "2", expected=None)
    assert champion_version("router") == "1"
    promote.move("router", "2", expected="1")
    promote.move("router", "2", expected="1")  # done again after a cut
    assert champion_history(registry_client(), "router") == ["1", "2"]
    with pytest.raises(ChampionMovedError):
        promote.rollback("router", expected="1")


def test_a_late_partition_is_joined_and_counted_in_the_next_cycle(root: Path) -> None:
    write_log(root / "decisions" / "decisions-a.jsonl", 0, 300)
    config = loop_config(root, retrain_labels=1_000, metrics_file=root / "loop.prom")
    assert run(config) == 0
    write_log(root / "decisions" / "decisions-late.jsonl", 500, 100, hours_ago=48.0)
    assert run(config) == 0
    state = state_of(config)
    assert (state.outcome, state.labels - state.retrained_labels) == ("not due", 100)
    assert "nothing new" not in state.outcomes
    assert run(config) == 0
    assert state_of(config).outcome == "nothing new"
    text = (root / "loop.prom").read_text(encoding="utf-8")
    assert 'router_loop_new_labels{name="router"} 100.0' in text
    assert 'router_loop_outcomes{name="router",outcome="promoted"} 1.0' in text


def test_an_evaluation_may_stream(root: Path) -> None:
    write_log(root / "decisions" / "decisions-a.jsonl", 0, 300)
    assert run(loop_config(root, evaluation=True, evaluate={"streaming": True})) == 0
    folder = root / "loop" / "cycles" / "00001" / "evaluation"
    assert orjson.loads((folder / "evaluation.json").read_bytes())["kind"] == "streamed"
    assert champion_version("router") == "1"


def test_a_step_that_fails_is_told_and_the_next_cycle_begins_anew(root: Path) -> None:
    log = root / "decisions" / "decisions-a.jsonl"
    write_log(log, 0, 50)
    config = loop_config(root)
    Path(config.prices[0]).write_text('{"nobody": {"input_cost_per_token": 1e-6}}')
    assert run(config) == 2
    assert (state_of(config).step, state_of(config).outcome) == ("idle", "failed")
    config = loop_config(root)
    assert run(config) == 0
    assert (state_of(config).cycle, state_of(config).outcome) == (2, "promoted")


def test_what_a_loop_cannot_do_is_refused_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TrainConfig has no key qualty"):
        loop_config(tmp_path, train={"qualty": {"name": "linear"}})
    with pytest.raises(ConfigError, match="missing key prices"):
        LoopConfig(decisions=("decisions",))
    with pytest.raises(ConfigError, match="shadow_requests must be >= 0, got -1"):
        loop_config(tmp_path, shadow_requests=-1)
    for waits in ({"needs_experiment": True}, {"shadow_requests": 10}):
        with pytest.raises(ConfigError, match="decision log: name it as decisions"):
            loop_config(tmp_path, decisions=(), requests=("log.jsonl",), **waits)
    with pytest.raises(ConfigError, match="measures comes of the service's decision log"):
        loop_config(tmp_path, decisions=(), requests=("log.jsonl",), monitor={"measures": "m"})
    with pytest.raises(ConfigError, match="because retrains in every cycle"):
        loop_config(tmp_path, because="a word", once=False)
    with pytest.raises(ConfigError, match=r"trial needs train\.policy to be one of"):
        loop_config(tmp_path, trial=0.1, train={"policy": {"name": "budget", "match": "today"}})
    with pytest.raises(ConfigError, match="EvaluateConfig has no key stream"):
        loop_config(tmp_path, evaluate={"stream": True})
    with pytest.raises(ConfigError, match="ExportConfig has no key parity"):
        loop_config(tmp_path, export={"parity": 10})
    loop_config(tmp_path, evaluate={"streaming": True})
