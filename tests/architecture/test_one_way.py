"""A command and the function of its name call the same stage, with the same config."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import router_ml as rm
from pipelines import cli
from pipelines.api import onboarding
from pipelines.inspect import draft
from pipelines.report import router_report
from pipelines.stages import (
    evaluate,
    export,
    join,
    label_proposal,
    promote,
    register,
    search,
    train,
)
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle

PRICE = (1.0, 3.0)


@dataclass
class Place:
    """Folders as stages leave them; what is in them is not read before the stage."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("joined", "trained", "out"):
            (self.folder / name).mkdir()
        (self.folder / "joined" / "outcomes.parquet").touch()
        make_bundle(self.folder / "bundle")

    @property
    def router(self) -> rm.Router:
        return rm.Router(self.folder / "bundle", trained=Path("trained"), log=self.log)

    @property
    def log(self) -> rm.Log:
        return rm.Log("joined")


class StageReachedError(Exception):
    """The stage was reached."""

    def __init__(self, *given: Any, **options: Any) -> None:
        self.given, self.options = given, options
        super().__init__(given, options)


@dataclass(frozen=True)
class Pair:
    """A command's words, the call of the function, and where they meet.

    Parameters
    ----------
    home, stage : where the stage is defined, and its name there
    same : whether both hand over equal arguments, and not only like ones
    before : stages that are passed on the way, with what they give back
    """

    words: str
    call: Callable[[Place], Any]
    home: Any
    stage: str = "run"
    same: bool = True
    before: tuple[tuple[Any, Any], ...] = ()


PAIRS: Mapping[str, Pair] = {
    "inspect": Pair("a.csv b.csv", lambda _: rm.inspect("a.csv", "b.csv"), draft, "draft"),
    "join": Pair(
        "--requests a.csv --labels b.csv --prices c.csv --output out",
        lambda _: rm.read_log("a.csv", labels="b.csv", prices="c.csv", output="out"),
        join,
    ),
    "train": Pair(
        "--joined joined --output out/trained --quality.name knn",
        lambda at: rm.fit(at.log, estimator="knn", output="out"),
        train,
    ),
    "export": Pair(
        "--trained trained --joined joined --output out/export",
        lambda at: rm.fit(at.log, output="out"),
        export,
        before=((train, Path("trained")),),
    ),
    "search": Pair(
        "--joined joined --output out --n-trials 3",
        lambda at: rm.search(at.log, n_trials=3, output="out"),
        search,
    ),
    "evaluate": Pair(
        "--bundle bundle --trained trained --joined joined --output out",
        lambda at: rm.evaluate(at.router, output="out"),
        evaluate,
    ),
    "report": Pair(
        "--evaluation out --bundle bundle --trained trained --joined joined --output r.html",
        lambda at: rm.Evaluation("out", router=at.router, log=at.log).report("r.html"),
        router_report,
        "write_report",
    ),
    "register": Pair(
        "--bundle bundle --trained trained --joined joined --evaluation out",
        lambda at: at.router.log_to_mlflow(register=True),
        register,
        "record",
        before=((evaluate, Path("out")),),
    ),
    "promote": Pair(
        "--joined joined --margin 0.02",
        lambda at: rm.promote("router", at.log, margin=0.02),
        promote,
    ),
    "rollback": Pair(
        "--by Ada --reason why",
        lambda _: rm.rollback("router", by="Ada", reason="why"),
        promote,
        "rollback",
    ),
    "route": Pair("bundle hello", lambda at: at.router.route("hello"), Runtime, "decide"),
    "onboard": Pair(
        "new --price 1 --price 3 --bundle bundle --trained trained --joined joined",
        lambda at: rm.onboard(at.router, "new", price=PRICE),
        onboarding,
        "onboard",
        same=False,
    ),
    "label": Pair(
        "propose --bundle bundle --joined joined --budget 20",
        lambda at: rm.propose_labels(rm.load("bundle", log=at.log), budget=20),
        label_proposal,
        "propose",
        same=False,
    ),
}  # fmt: skip
"""By command; ``rm`` has a function for each of these."""
COMMANDS_ALONE = {
    "run": "the stages in turn", "demo": "the stages in turn, on a synthetic world",
    "simulate": "a loop of the stages", "diff": "a page", "certify": "a bundle of another policy",
    "fit-routes": "semantic routes", "serve": "a program of its own",
    "gateway": "a program of its own", "explain": "reads the decision log",
    "experiment": "reads the decision log", "verify-log": "reads the decision log",
    "erase": "changes the decision log", "monitor": "reads the decision log",
    "loop": "the stages, again and again",
}  # fmt: skip
FUNCTIONS_ALONE = {
    "compare": "learning.contest, which search calls",
    "fit": "train and export", "fit_scores": "read_scores, then fit",
    "read_scores": "writes a log, then join", "read_log": "join",
    "load": "reads a bundle", "propose_labels": "label propose",
    "sample": "a file", "sample_log": "a file, then join", "sample_scores": "a file",
}  # fmt: skip


def replace_everywhere(patch: pytest.MonkeyPatch, old: Any, new: Any) -> None:
    """Also where it was imported by its name."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("pipelines", "router_ml")):
            for key, value in list(vars(module).items()):
                if value is old:
                    patch.setattr(module, key, new)


def plain(value: Any) -> Any:
    """Arguments as they compare; paths by their end, objects by their kind."""
    if isinstance(value, tuple | list):
        return tuple(plain(item) for item in value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if key not in _ANYWAY}
    if hasattr(value, "__dataclass_fields__"):
        fields = {key: getattr(value, key) for key in value.__dataclass_fields__}
        return type(value).__name__, plain(fields)
    if isinstance(value, str | int | float | bool | type(None) | pd.DataFrame):
        return value
    return value.name if isinstance(value, Path) else type(value).__name__


_ANYWAY = {"progress", "space", "register"}
"""How it is shown, and what only Python can hand over."""


def met(patch: pytest.MonkeyPatch, pair: Pair, call: Callable[[], Any]) -> StageReachedError:
    with patch.context() as inner:
        for module, given in pair.before:
            inner.setattr(module, "run", lambda *_, found=given, **__: found)
        old = getattr(pair.home, pair.stage)

        def reached(*given: Any, **options: Any) -> None:
            raise StageReachedError(*given, **options)

        inner.setattr(pair.home, pair.stage, reached)
        replace_everywhere(inner, old, reached)
        with pytest.raises(StageReachedError) as caught:
            call()
    return caught.value


@pytest.mark.parametrize("name", PAIRS)
def test_both_meet_in_the_stage(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROUTER_ML_CACHE", raising=False)
    place, pair = Place(Path()), PAIRS[name]
    for file in ("a.csv", "b.csv", "c.csv"):
        Path(file).touch()
    told = met(monkeypatch, pair, lambda: cli.run([name, *pair.words.split()]))
    called = met(monkeypatch, pair, lambda: pair.call(place))
    if pair.same:
        assert plain(called.given) == plain(told.given)
        assert plain(called.options) == plain(told.options)
    else:
        assert plain(called.given) == plain(told.given[: len(called.given)])


def test_every_command_and_every_function_is_one_of_a_pair_or_says_what_it_is() -> None:
    assert set(PAIRS) | set(COMMANDS_ALONE) == set(cli.COMMANDS)
    assert not set(PAIRS) & set(COMMANDS_ALONE)
    functions = {name for name in rm.__all__ if not isinstance(getattr(rm, name), type)}
    assert functions <= set(PAIRS) | set(FUNCTIONS_ALONE)
