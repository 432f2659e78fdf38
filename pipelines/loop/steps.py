"""What a cycle does, step by step: each reads the state and says what is next.

A step may be cut off anywhere and is then done again from its beginning. Folders are replaced as a
whole; what reaches the registry is keyed: a version by what it was made from, a promotion and a
rollback by the champion that is expected.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pipelines.artifacts import JoinedFolder, RunFolders
from pipelines.config import (
    EvaluateConfig,
    ExportConfig,
    JoinConfig,
    LabelFile,
    PromoteConfig,
    RegisterConfig,
    TrainConfig,
    load_config,
)
from pipelines.config.evaluate import evaluated
from pipelines.console import shares
from pipelines.loop import due, waiting, watch
from pipelines.loop.config import LoopConfig
from pipelines.loop.cycle import ended, watched
from pipelines.loop.partitions import Taken, take
from pipelines.loop.state import LoopState
from pipelines.loop.store import Store
from pipelines.registry.tracking import registry_errors
from pipelines.registry.versions import champion_version, predecessor, registry_client
from pipelines.stages import evaluate, export, join, promote, register, train
from router_ml.errors import ChampionMovedError

Drift = Callable[[LoopConfig, str | None], Sequence[Mapping[str, Any]]]
"""Gives alarms, each with ``alarm_id`` and ``text``; of the champion's version, if there is one."""
_REMEMBERED: Final = 100
"""Alarms, the latest, that a state holds."""


class Steps:
    """The steps of one loop.

    Parameters
    ----------
    drift : finds alarms in a joined log
    now : naive UTC
    """

    def __init__(
        self,
        config: LoopConfig,
        store: Store,
        *,
        drift: Drift,
        now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(tzinfo=None),
    ) -> None:
        self.config = config
        self.store = store
        self.now = now
        self._drift = drift
        self.entries: list[tuple[str, dict[str, Any]]] = []

    def folder(self, state: LoopState) -> RunFolders:
        """Of a cycle."""
        return RunFolders(self.config.output / "cycles" / f"{state.cycle:05d}")

    def collect(self, state: LoopState) -> LoopState:
        """Take what is new in the log."""
        config = self.config
        taken = take(
            Taken.of(self.store.partitions()),
            decisions=config.decisions,
            requests=config.requests,
            labels=[item for item in config.labels if isinstance(item, str)],
            folder=config.output / "log",
        )
        self.entries = taken.entries
        state = replace(state, digest=taken.digest, said=taken.text)
        if taken.digest == state.done and not config.because:
            if state.shadow_since:
                return replace(state, step="shadow")
            return ended(state, "nothing new", "no new log")
        return replace(state, step="join")

    def join(self, state: LoopState) -> LoopState:
        """Join all log that was taken, as of the cycle's beginning."""
        config, taken = self.config, Taken.of(self.store.partitions())
        named = [item for item in config.labels if isinstance(item, LabelFile)]
        overrides = {
            "check_costs": "report",
            **config.join,
            "requests": taken.files("requests", config.output / "log"),
            "decisions": taken.files("decisions", config.output / "log"),
            "labels": (*taken.files("labels", config.output / "log"), *named),
            "prices": config.prices,
            "as_of": state.as_of,
            "output": self.folder(state).joined,
        }
        with shares() as advance:
            joined = join.run(load_config(JoinConfig, overrides=overrides), progress=advance)
        report = json.loads(JoinedFolder(joined).report.read_text(encoding="utf-8"))
        labels = sum(int(row["labelled"]) for row in report["candidates"])
        settled = JoinedFolder(joined).settled_until()
        wait = timedelta(0) if settled is None else datetime.fromisoformat(state.as_of) - settled
        hours = wait.total_seconds() / 3600.0
        return replace(state, step="drift", labels=labels, label_hours=hours)

    def drift(self, state: LoopState) -> LoopState:
        """Ask the monitor what has changed."""
        champion = _champion(self.config.name)
        alarms = [dict(alarm) for alarm in self._drift(self.config, champion)]
        return replace(state, step="watch", alarms=tuple(alarms[-_REMEMBERED:]))

    def watch(self, state: LoopState) -> LoopState:
        """Roll back a champion that is shown to be worse than its predecessor."""
        config = self.config
        with registry_errors("look up the champion"):
            champion = _champion(config.name)
            former = None if champion is None else predecessor(registry_client(), config.name)
        if champion is None or former is None:
            return watched(state, champion)
        if champion != state.watched:
            # Promoted by somebody else, or the one that came back: from here on.
            state = replace(state, watched=champion, predecessor=former, since=state.as_of)
            return watched(state, champion)
        if not config.rollback:
            return watched(state, champion)
        found = watch.compare(
            self._question(state),
            champion=champion,
            predecessor=state.predecessor,
            since=datetime.fromisoformat(state.since),
            alpha=config.watch_alpha,
        )
        (self.folder(state).root / "watch.txt").write_text(found.text + "\n", encoding="utf-8")
        if not found.worse:
            return watched(state, champion)
        return replace(state, step="rollback", said=found.text)

    def rollback(self, state: LoopState) -> LoopState:
        """Give the alias back; done again after a cut, it finds that it has been done."""
        if _champion(self.config.name) == state.watched:
            self.store.renew()
            promote.rollback(
                self.config.name,
                by="router-ml loop",
                reason=state.said[:500],
                expected=state.watched,
            )
        said = f"version {state.predecessor} is champion again: {state.said}"
        state = ended(replace(state, watched="", predecessor="", since=""), "rolled back", said)
        # A challenger in the shadow was judged against the one that went: it is judged again.
        return replace(state, done="") if state.shadow_since else state

    def due(self, state: LoopState) -> LoopState:
        """Decide whether to retrain; with a champion from elsewhere, time counts from here on."""
        champion = _champion(self.config.name)
        if champion is not None and not state.retrained_at:
            state = replace(state, retrained_at=state.as_of, retrained_labels=state.labels)
        found = due.reasons(self.config, state, champion=champion)
        if not found:
            new = state.labels - state.retrained_labels
            said = f"{new:,} new labels; retrains at {self.config.retrain_labels:,}, or by time"
            return ended(state, "not due", said)
        return replace(state, step="train", reasons=found)

    def train(self, state: LoopState) -> LoopState:
        """Fit the challenger."""
        at = self.folder(state)
        overrides = {"cache": self.config.cache, "detect_changes": True, **self.config.train,
                     "joined": at.joined, "output": at.trained}  # fmt: skip
        wanted = load_config(TrainConfig, overrides=overrides)
        if few := self._on_trial(at.joined, wanted.candidates):
            wanted = replace(wanted, policy={**wanted.policy, "trial": few})
        train.run(wanted)
        return replace(state, step="export")

    def export(self, state: LoopState) -> LoopState:
        """Write its bundle."""
        at = self.folder(state)
        overrides = {**self.config.export, "trained": at.trained, "joined": at.joined,
                     "output": at.export}  # fmt: skip
        export.run(load_config(ExportConfig, overrides=overrides))
        return replace(state, step="evaluate" if self.config.evaluation else "register")

    def evaluate(self, state: LoopState) -> LoopState:
        """Judge it beside the constants, for its page."""
        at = self.folder(state)
        overrides = {**evaluated(self.config.evaluate, at.trained), "joined": at.joined,
                     "bundle": at.bundle, "output": at.evaluation}  # fmt: skip
        evaluate.run(load_config(EvaluateConfig, overrides=overrides))
        return replace(state, step="register")

    def register(self, state: LoopState) -> LoopState:
        """Make it a version, once."""
        at = self.folder(state)
        self.store.renew()
        version = register.run(
            RegisterConfig(
                bundle=at.bundle,
                trained=at.trained,
                joined=at.joined,
                evaluation=at.evaluation if self.config.evaluation else None,
                name=self.config.name,
                key=self._key(state),
                tags={
                    "retrained_because": "; ".join(state.reasons),
                    "loop_cycle": str(state.cycle),
                    "loop_alarms": json.dumps([due.alarm_key(alarm) for alarm in state.alarms]),
                },
            )
        )
        keys = [due.alarm_key(alarm) for alarm in due.open_alarms(state)]
        return replace(
            state,
            step="gate",
            version=version,
            retrained_at=state.as_of,
            retrained_labels=state.labels,
            tries={key: state.tries.get(key, 0) + 1 for key in keys},
            addressed=tuple(map(due.alarm_key, state.alarms)),
        )

    def gate(self, state: LoopState) -> LoopState:
        """Ask the gate; nothing moves yet."""
        self.store.renew()
        if _champion(self.config.name) == state.version:
            said = f"version {state.version} is champion already: somebody promoted it meanwhile"
            return ended(state, "superseded", said)
        question = replace(self._question(state), version=int(state.version))
        judged = promote.ask(question, pending=True)
        (self.folder(state).root / "gate.txt").write_text(judged.report.text, encoding="utf-8")
        state = replace(state, champion=judged.champion)
        if not judged.report.accepted:
            said = f"version {state.version} is refused: {judged.report.gate.verdict}"
            return ended(state, "refused", said)
        waits = self.config.shadow_requests or self.config.needs_experiment
        if waits and judged.champion is not None:
            since = state.shadow_since or self.now().isoformat()
            return replace(state, step="shadow", shadow_since=since)
        return replace(state, step="promote")

    def shadow(self, state: LoopState) -> LoopState:
        """Wait until it has decided enough requests, and has passed an experiment if one is needed.

        The cycle ends; those that follow join, monitor and watch, and come back here.
        """
        return waiting.look(self.config, state, self._question(state), now=self.now())

    def promote(self, state: LoopState) -> LoopState:
        """Move the alias, unless another is champion by now than was judged against."""
        self.store.renew()
        try:
            promote.move(self.config.name, state.version, expected=state.champion)
        except ChampionMovedError as error:
            return ended(state, "superseded", str(error))
        state = replace(
            state,
            watched=state.version if state.champion else "",
            predecessor=state.champion or "",
            since=self.now().isoformat() if state.champion else "",
            answered=tuple(dict.fromkeys([*state.answered, *state.addressed]))[-_REMEMBERED:],
            tries={},
        )
        said = f"version {state.version} is champion: {'; '.join(state.reasons)}"
        return ended(state, "promoted", said)

    def tidy(self, state: LoopState) -> None:
        """Remove the oldest cycles' folders, and staged log that no longer holds."""
        held = {part.staged for part in Taken.of(self.store.partitions()).every.values()}
        for path in (self.config.output / "log").glob("*.parquet"):
            if path.stem.rpartition("-")[0] not in held:
                path.unlink(missing_ok=True)
        kept = sorted((self.config.output / "cycles").glob("*"))
        for folder in kept[: max(0, len(kept) - self.config.keep_cycles)]:
            if folder.name < f"{state.cycle:05d}":
                shutil.rmtree(folder, ignore_errors=True)

    def _on_trial(self, joined: Path, names: Sequence[str]) -> dict[str, float]:
        """Share of every candidate that the log knows too little of."""
        if not self.config.trial:
            return {}
        report = json.loads(JoinedFolder(joined).report.read_text(encoding="utf-8"))
        labels = {row["candidate"]: row["labelled"] for row in report["candidates"]}
        few = [n for n in names or labels if labels.get(n, 0) < self.config.trial_labels]
        return dict.fromkeys(few, self.config.trial)

    def _question(self, state: LoopState) -> PromoteConfig:
        overrides = {**self.config.promote, "joined": self.folder(state).joined,
                     "name": self.config.name}  # fmt: skip
        return load_config(PromoteConfig, overrides=overrides)

    def _key(self, state: LoopState) -> str:
        """Of what the version is made from: the log, as of when, for which cycle."""
        made = f"{self.config.name} {state.cycle} {state.as_of} {state.digest}"
        return sha256(made.encode()).hexdigest()[:32]


def _champion(name: str) -> str | None:
    """The version in service; ``None`` before the first, and before there is such a model."""
    with registry_errors("look up the champion"):
        if not registry_client().search_registered_models(f"name = '{name}'"):
            return None
    return champion_version(name)
