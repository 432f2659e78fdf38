"""Arguments to configs: spelling, precedence, lists, positions, refusals."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from pipelines import cli
from pipelines.cli import COMMANDS
from pipelines.command_line import command_line
from pipelines.config import JoinConfig, LabelFile, TrainConfig
from pipelines.options import field_docs
from pipelines.stages.run import RunConfig
from router_ml.errors import ConfigError
from tests.command import run_command


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job.

    Parameters
    ----------
    folder : where
    files : some
    fast : or not
    share : of it
    policy : of the job
    """

    folder: Path
    files: tuple[str, ...] = ()
    fast: bool = False
    share: float = 0.5
    policy: dict[str, object] = field(default_factory=lambda: {"name": "budget", "cost_share": 0.2})


def read(*words: str, **options: object) -> Job:
    return command_line(Job, words, prog="router-ml job", **options)  # type: ignore[arg-type]


def test_both_spellings_lists_flags_and_keys_inside_keys() -> None:
    job = read("--folder", "a", "--files", "x", "--files=[y, z]", "--fast", "--policy.cost-share=1")
    assert job == Job(
        folder=Path("a"),
        files=("x", "y", "z"),
        fast=True,
        policy={"name": "budget", "cost_share": 1},
    )
    assert read("--set", "folder=a", "-s", "share=1e-1", "--no-fast").share == 0.1
    assert read("--folder=a", "--set", "files=x", "--set", "share=").share == 0.5


def test_arguments_win_over_the_file_over_variables_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("share: 0.1\nfiles: one\n", encoding="utf-8")
    free = {"folder": Path("found"), "share": 0.9}
    assert read(defaults=free) == Job(folder=Path("found"), share=0.9)
    monkeypatch.setenv("ROUTER_ML_JOB_SHARE", "0.3")
    assert read(defaults=free).share == 0.3
    job = read("-c", str(file), "--share", "0.2", defaults=free)
    assert (job.share, job.files, job.folder) == (0.2, ("one",), Path("found"))


def test_positions() -> None:
    assert read("a", "--share", "0.1", positional=("folder",)).folder == Path("a")
    job = read("a", "b", "c", positional=("folder", "files"))
    assert (job.folder, job.files) == (Path("a"), ("b", "c"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Job needs folder"),
        (("--folder", "a", "--fil", "x"), "Job has no key fil; valid keys: folder, files"),
        (("--folder", "a", "--share", "half"), "Job.share must be float, got half"),
        (("--folder",), "--folder needs a value"),
        (("--folder", "a", "b"), "expected options, got b$"),
        (("--folder", "a", "--files", "b", "c"), "got c; for several values repeat it: --files c"),
        (("--set", "folder"), "--set needs key=value"),
    ],
)
def test_what_is_wrong_is_named(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(*words)


def test_options_take_what_a_file_takes() -> None:
    """One path where fields take several, and label files with names of their own."""
    words = [
        "--requests", "log.csv", "--prices", "prices.csv", "--output", "out",
        "--labels", "{files: thumbs.csv, name: vote, source: user}",
        "--labels", "[{files: scores.csv, fields: {value: score}}, plain.csv]",
        "--request_fields", "{request_id: id, time: [ts, when]}",
        "--request_fields.query", "prompt",
    ]  # fmt: skip
    config = command_line(JoinConfig, words, prog="router-ml join")
    assert config.labels == (
        LabelFile(files=("thumbs.csv",), name="vote", source="user"),
        LabelFile(files=("scores.csv",), fields={"value": ("score",)}),
        "plain.csv",
    )
    assert dict(config.request_fields) == {
        "request_id": ("id",), "time": ("ts", "when"), "query": ("prompt",)
    }  # fmt: skip


def test_stages_find_each_other_below_one_folder(tmp_path: Path) -> None:
    found = cli._folders(TrainConfig, cli._runs(["--runs", str(tmp_path)]), "trained")
    assert found == {"joined": tmp_path / "joined", "output": tmp_path / "trained"}
    assert cli._folders(RunConfig, cli._runs([]), "root") == {"output": Path("runs")}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_is_explained(name: str) -> None:
    command = COMMANDS[name]
    config = command.config_class()
    assert command.about
    assert set(field_docs(config)) >= {option.name for option in fields(config)}


def test_help_shows_meaning_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--dims DIMS" in text
    assert "dimensions of the static encoder (type: int, default: 256)" in text


def test_commands_and_completion_are_printed() -> None:
    assert "evaluate" in run_command([])
    assert "--max-tokens" in run_command(["completion", "bash"])
    with pytest.raises(ConfigError, match="no command 'trian'; router-ml has run, inspect, join"):
        run_command(["trian"])
