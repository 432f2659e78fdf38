"""Files that nobody prepared, to a configuration that reads back and joins them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.config import JoinConfig, load_config
from pipelines.inspect.draft import draft
from pipelines.inspect.kinds import times
from pipelines.inspect.labels import scale_of
from pipelines.join.model_names import match_price
from pipelines.stages.join import run
from pipelines.stages.run import RunConfig
from router_ml.errors import ConfigError

MODELS = ("gpt-4o-2024-08-06", "claude-3-haiku-20240307")
WORDS = "Please tell me in a few words what the number {} stands for in this text."


def write_csv(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], *, sign: str = ",",
    encoding: str = "utf-8",
) -> str:  # fmt: skip
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=sign)
        writer.writerow(header)
        writer.writerows(rows)
    return str(path)


def export(folder: Path, **changes: Any) -> str:
    """A flat export with columns of its own."""
    when = changes.pop("when", "2026-03-01T10:{:02d}:00+02:00")
    number = changes.pop("number", "{}")
    rows = [
        (when.format(i % 60), f"call-{i}", changes.get("text", WORDS).format(i), MODELS[i % 2],
         100 + i, 10 + i, number.format(0.00035 if i % 2 == 0 else 0.00004), 1.5)
        for i in range(60)
    ]  # fmt: skip
    header = ("ts", "id", "user_prompt", "model_name", "usage_in", "usage_out", "usd", "seconds")
    sign, encoding = changes.get("sign", ","), changes.get("encoding", "utf-8")
    return write_csv(folder / "export.csv", header, rows, sign=sign, encoding=encoding)


def prices(folder: Path, header: Sequence[str] = ("model", "input per 1M", "output per 1M"),
           scale: float = 1.0) -> str:  # fmt: skip
    rows = [("openai/gpt-4o-2024-08-06", 2.5 * scale, 10.0 * scale),
            ("anthropic/claude-3-haiku", 0.25 * scale, 1.25 * scale)]  # fmt: skip
    return write_csv(folder / "prices.csv", header, rows)


def labels(folder: Path, values: Sequence[Any], name: str = "thumbs.csv") -> str:
    rows = [(f"call-{i}", values[i % len(values)], "2026-03-02T10:00:00+02:00") for i in range(60)]
    return write_csv(folder / name, ("completion_id", "vote", "when"), rows)


def joined(text: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """Join what the draft says; returns the report."""
    made = load_config(RunConfig, overrides=yaml.safe_load(text))
    config = load_config(
        JoinConfig,
        overrides={"requests": made.requests, "labels": made.labels, "prices": made.prices,
                   "output": folder / "joined", "check_costs": "report", **made.join, **changes},
    )  # fmt: skip
    report: dict[str, Any] = json.loads((run(config) / "report.json").read_text(encoding="utf-8"))
    return report


def test_a_strangers_export_is_mapped_and_joins(tmp_path: Path) -> None:
    text = draft([prices(tmp_path), labels(tmp_path, [-1, 1]), export(tmp_path)])
    join = yaml.safe_load(text)["join"]
    assert join["request_fields"] == {
        "time": "ts", "candidate_served": "model_name", "query": "user_prompt", "request_id": "id",
        "input_tokens": "usage_in", "output_tokens": "usage_out", "cost_usd": "usd",
        "latency_s": "seconds",
    }  # fmt: skip
    assert join["label_ranges"] == {"vote": [-1, 1]}
    assert join["price_unit"] == "mtok"
    assert join["price_names"] == {
        MODELS[0]: "openai/gpt-4o-2024-08-06", MODELS[1]: "anthropic/claude-3-haiku"
    }  # fmt: skip
    assert "differs by a provider prefix and a date" in text
    report = joined(text, tmp_path)
    for source in ("requests", "labels", "prices"):
        account = report["accounting"][source]
        assert account["used"] == account["in"] > 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 5], {"label_ranges": {"vote": [1, 5]}}),
        ([0, 1], {}),
        ([0, 50, 100], {"label_ranges": {"vote": [0, 100]}}),
        (["up", "down"], {"label_values": {"up": 1, "down": 0}}),
        (["true", "false"], {}),
        (["👍", "👎"], {"label_values": {"👍": 1, "👎": 0}}),
    ],
)
def test_label_scales_are_told(tmp_path: Path, values: list[Any], expected: dict[str, Any]) -> None:
    text = draft([export(tmp_path), labels(tmp_path, values), prices(tmp_path)])
    join = yaml.safe_load(text)["join"]
    assert {k: v for k, v in join.items() if k.startswith("label_")} == expected
    assert joined(text, tmp_path)["accounting"]["labels"]["used"] == 60


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"when": "2026-03-01 10:{:02d}:00"}, {"time_zone": "UTC"}),
        ({"when": "25/03/2026 10:{:02d}:00"}, {"time_format": "%d/%m/%Y %H:%M:%S"}),
        ({"when": "17723400{:02d}000"}, {"time_format": "ms"}),
        ({"sign": ";", "number": "{:.6f}"}, {}),
        ({"encoding": "cp1252", "text": "Où est la clé numéro {} dans ce texte-là ?"},
         {"csv_encoding": "cp1252"}),
    ],
)  # fmt: skip
def test_times_separators_and_encodings_are_told(
    tmp_path: Path, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    text = draft([export(tmp_path, **changes), labels(tmp_path, [0, 1]), prices(tmp_path)])
    join = yaml.safe_load(text)["join"]
    for key, value in expected.items():
        assert join[key] == value
    assert joined(text, tmp_path)["accounting"]["requests"]["used"] == 60


def test_decimal_commas_are_told(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    rows = [f"2026-03-01T10:{i:02d}:00Z;id-{i};{WORDS.format(i)};gpt-4o;{i + 9};5;0,0{i}5"
            for i in range(60)]  # fmt: skip
    header = "time;id;prompt;model;input_tokens;output_tokens;cost"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    text = draft([str(path)])
    assert yaml.safe_load(text)["join"]["decimal_comma"] is True


@pytest.mark.parametrize(
    ("header", "scale", "unit"),
    [
        (("model", "in / 1K tokens", "out / 1K tokens"), 1e-3, "ktok"),
        (("model", "input_per_token", "output_per_token"), 1e-6, "token"),
        (("model", "input", "output"), 1e-3, "ktok"),
        (("model", "input", "output"), 1.0, "mtok"),
    ],
)
def test_the_unit_of_prices_is_told(
    tmp_path: Path, header: tuple[str, ...], scale: float, unit: str
) -> None:
    text = draft([export(tmp_path), prices(tmp_path, header, scale)])
    assert yaml.safe_load(text)["join"]["price_unit"] == unit


def test_a_known_shape_needs_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl.gz"
    rows = [
        {"id": f"call-{i}", "object": "chat.completion", "created": 1_772_340_000 + i,
         "model": MODELS[i % 2], "request": {"messages": [{"role": "user", "content": WORDS}]},
         "choices": [{"message": {"role": "assistant", "content": "Yes."}}],
         "usage": {"prompt_tokens": 20, "completion_tokens": 5}}
        for i in range(60)
    ]  # fmt: skip
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    text = draft([str(path), labels(tmp_path, [1, -1]), prices(tmp_path)])
    assert "OpenAI completions" in text
    assert "request_fields" not in yaml.safe_load(text)["join"]
    assert joined(text, tmp_path)["accounting"]["requests"]["used"] == 60


def test_a_compressed_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = Path(export(tmp_path, sign=";"))
    packed = tmp_path / "export.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    others = [labels(tmp_path, [1, 0]), prices(tmp_path)]
    text = draft([str(packed), *others])
    assert "60 rows, CSV separated by semicolons" in text
    assert text.replace("export.csv.gz", "export.csv") == draft([str(path), *others])


def test_what_was_not_found_is_said(tmp_path: Path) -> None:
    other = write_csv(tmp_path / "other.csv", ("a", "b"), [("x", "y"), ("z", "w")])
    text = draft([export(tmp_path), labels(tmp_path, [0, 1]), other])
    assert "NOT USED" in text
    assert "no file looks like a price list" in text
    with pytest.raises(ConfigError, match=r"no file gone\.csv"):
        draft(["gone.csv"])


def test_day_and_month_that_could_be_either_are_flagged() -> None:
    known = times(["25/03/2026 10:00:00", "01/03/2026 10:00:00"])
    either = times(["05/03/2026 10:00:00", "01/03/2026 10:00:00"])
    assert known is not None
    assert either is not None
    assert (known.ambiguous, either.ambiguous) == (False, True)


def test_scales_and_names() -> None:
    assert scale_of([1.0, 3.0, 5.0])[0] == (1.0, 5.0)
    assert scale_of([-1.0, 0.0, 1.0])[0] == (-1.0, 1.0)
    assert scale_of([0.2, 0.9])[0] is None
    assert match_price("gpt-4o", ["azure/gpt-4o-2024-05-13", "gpt-4o-mini"]) == (
        "azure/gpt-4o-2024-05-13", "by a provider prefix and a date"
    )  # fmt: skip
    assert match_price("prod-gpt4o-eu", ["gpt-4o", "gpt-4o-mini"])[0] == "gpt-4o"
    assert match_price("unheard-of", ["gpt-4o"])[0] is None


def test_local_times_are_said_to_have_no_zone(tmp_path: Path) -> None:
    files = [export(tmp_path, when="2026-03-01T10:{:02d}:00"), prices(tmp_path)]
    line = next(row for row in draft(files).splitlines() if "time_zone" in row)
    assert line.strip() == (
        "time_zone: UTC  # no time says its zone: if they are local times, set the zone that they "
        "were written in, such as Europe/Berlin"
    )
    assert "time_zone" not in draft([export(tmp_path), prices(tmp_path)])


def test_the_first_days_of_a_long_log_do_not_decide_how_dates_are_written() -> None:
    said = [f"03/{1 + i // 100:02d}/2026 10:00" for i in range(2_500)]
    found = times(said)
    assert found is not None
    assert (found.time_format, found.ambiguous) == ("%m/%d/%Y %H:%M", False)
    assert (found.first.day, found.last.day) == (1, 25)
