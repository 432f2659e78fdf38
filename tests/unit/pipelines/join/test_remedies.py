"""Wrong inputs that a newcomer makes: the first value, its place and the setting are printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.errors import ConfigError, RouterError
from tests.dirty_log import request

LABEL = {"request_id": "req-00000", "name": "stars", "value": 4, "source": "human"}
LABEL["time"] = "2026-03-02T00:00:00Z"
PRICES = {
    name: {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6}
    for name in ("small", "medium", "large")
}


def said(folder: Path, **parts: Any) -> str:
    """What a join of small files prints when it stops."""
    rows = parts.pop("rows", [request(0, metadata={})])
    prices = parts.pop("price_map", PRICES)
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "prices.json").write_text(json.dumps(prices), encoding="utf-8")
    values: dict[str, Any] = {
        "requests": folder / "log.jsonl",
        "prices": folder / "prices.json",
        "output": folder / "out",
    }
    if labels := parts.pop("label_rows", None):
        text = "\n".join(map(json.dumps, labels))
        (folder / "labels.jsonl").write_text(text, encoding="utf-8")
        values["labels"] = folder / "labels.jsonl"
    with pytest.raises(RouterError) as caught:
        run(load_config(JoinConfig, overrides={**values, **parts}))
    return str(caught.value)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"label_rows": [LABEL]}, r"value '4.0' at .*jsonl:1; set label_ranges: \{stars: \["),
        ({"label_rows": [{**LABEL, "value": "good"}]}, r"str 'good' at .*:1; .*label_values"),
        ({"label_rows": [{**LABEL, "value": 1, "source": "expert"}]}, r"'expert' .*label_sources"),
        ({"label_rows": [{**LABEL, "value": 1, "request_id": "x-1"}]},
         r"request_id 'x-1' .*label_fields.request_id; ids of the log are like 'req-00000'"),
        ({"label_rows": [{**LABEL, "value": 1, "source": None}]}, r"labels: \[\{files: .*source"),
        ({"label_rows": [{**LABEL, "value": 1, "time": 1_772_000_000_000}]}, r"time_format"),
        ({"rows": [request(0, model="openai/small", metadata={})]},
         r"price_names: \{openai/small: small\}"),
        ({"rows": [request(0, model="unheard-of", metadata={})]}, r"add its price to the list"),
        ({"rows": [request(0, startTime=1_772_000_000_000)]}, r"set time_format: ms$"),
        ({"rows": [request(0, startTime="01/03/2026 12:00", endTime=None)]}, r"time_format"),
        ({"rows": [request(0, prompt_tokens=None)]}, r"request_fields.input_tokens"),
        ({"rows": [request(0, messages=None)]}, r"no_text .*request_fields.messages"),
        ({"rows": [request(0, model=None)]}, r"request_fields.candidate_served"),
        ({"rows": [request(0, status="perhaps")]},
         r"status_values: \{perhaps: success\}.*request_fields.status"),
        ({"rows": [request(0, id=None)]}, r"name where it is kept in request_fields.request_id"),
        ({"rows": [request(0, metadata={"router": {"propensity": 1.5}})]},
         r"propensity '1.5' .*request_fields.propensity"),
        ({"rows": [request(0, messages=[{"role": "user", "content": "[REDACTED]"}])]},
         r"turn_off_message_logging"),
        ({"rows": [request(0, response_cost="free")]}, r"'free' at .*request_fields.cost_usd"),
        ({"price_map": {"small": {"input_cost_per_token": 1e-6}}},
         r"mend its price, which is rejected: missing_price at .*prices.json:1"),
        ({"requests": "gone.jsonl"}, r"no file 'gone.jsonl'; check the path"),
        ({"label_rows": [LABEL], "label_fields": {"vote": "value"}},
         r"no field vote; there are request_id, name, value"),
        ({"time_zone": "Berlin"}, r"time_zone must be an IANA name such as Europe/Berlin"),
    ],
)  # fmt: skip
def test_the_remedy_stands_where_the_fault_is_told(
    tmp_path: Path, parts: dict[str, Any], says: str
) -> None:
    assert re.search(says, said(tmp_path, **parts), re.DOTALL)


def test_a_config_made_in_python_is_checked_as_one_from_yaml_is() -> None:
    config = JoinConfig(requests="log.jsonl", prices="prices.json", output="out")  # type: ignore[arg-type]
    assert (config.requests, config.prices, config.output) == (
        ("log.jsonl",), ("prices.json",), Path("out")
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"JoinConfig\.tolerance must be float, got half"):
        JoinConfig(requests="a", prices="b", output="c", tolerance="half")  # type: ignore[arg-type]


# --- the table of docs/how-to/map-your-export.md ---

PAGE = Path(__file__).parents[4] / "docs/how-to/map-your-export.md"


def table() -> dict[str, tuple[str, str]]:
    """Input -> what is printed and the setting, from the page."""
    lines = PAGE.read_text(encoding="utf-8").split("## What goes wrong at first")[1].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines
            if line.startswith("|")]  # fmt: skip
    return {row[0]: (row[1], row[2]) for row in rows[2:]}


def csv_log(folder: Path, rows: list[str], encoding: str = "utf-8") -> Path:
    """A log as CSV of the names of the join."""
    path = folder / "own.csv"
    header = "request_id,time,candidate_served,query,input_tokens,output_tokens"
    path.write_text("\n".join([header, *rows]), encoding=encoding)
    return path


def csv_row(i: int, text: str = "Where is my parcel?") -> str:
    return f"req-{i:05d},2026-03-01T10:00:{i % 60:02d}Z,small,{text},100,10"


def costs(scale: float) -> list[dict[str, Any]]:
    """Requests whose logged cost is ``scale`` times tokens times price."""
    rows = [request(i, model="small", metadata={}) for i in range(40)]
    for row in rows:
        usd = 1e-6 * row["prompt_tokens"] + 4e-6 * row["completion_tokens"]
        row["response_cost"] = scale * usd
    return rows


def label(**changes: Any) -> dict[str, Any]:
    return {**LABEL, "value": 1, **changes}


INPUTS: dict[str, list[dict[str, Any]]] = {
    "scores from 1 to 5": [{"label_rows": [label(value=v) for v in (4, 1, 5)]}],
    "words as labels": [{"label_rows": [label(value="good")]}],
    "labels by nobody known": [{"label_rows": [label(source="expert")]}],
    "labels without a source": [{"label_rows": [label(source=None)]}],
    "label ids of another system": [{"label_rows": [label(request_id="x-1")]}],
    "times in milliseconds": [{"rows": [request(0, startTime=1_772_000_000_000)]},
                              {"label_rows": [label(time=1_772_000_000_000)]}],
    "times as 01/03/2026": [{"rows": [request(0, startTime="01/03/2026 12:00", endTime=None)]}],
    "times of another form in each file": [
        {"rows": [request(0, startTime=1_772_000_000_000, endTime=None)], "time_format": ["ms"],
         "label_rows": [label(time="01/03/2026 12:00")]}],
    "times with and without a zone": [
        {"rows": [request(0, metadata={}), request(1, metadata={}, endTime=None,
                                                   startTime="2026-03-01T10:00:00")]}],
    "a zone that is none": [{"time_zone": "Berlin"}],
    "a provider before the model's name": [
        {"rows": [request(0, model="openai/small", metadata={})]}],
    "a model without a price": [{"rows": [request(0, model="unheard-of", metadata={})]}],
    "half a price": [{"price_map": {"small": {"input_cost_per_token": 1e-6}}}],
    "prices per 1,000 tokens": [{"rows": costs(1_000.0)}],
    "costs in cents": [{"rows": costs(100.0)}],
    "a stream without usage": [{"rows": [request(0, prompt_tokens=0)]}],
    "prompts that the logger redacted": [
        {"rows": [request(0, messages=[{"role": "user", "content": "[REDACTED]"}])]}],
    "prompts that the logger cut": [{"rows": [request(0, messages=[
        {"role": "user", "content": "Begin ... (litellm_truncated 900 chars) ... end"}])]}],
    "text under another name": [{"rows": [request(0, messages=None)]}],
    "another word for success": [{"rows": [request(0, status="perhaps")]}],
    "cached tokens beside input tokens": [{"rows": [request(0, prompt_tokens=10,
        cached=900)], "request_fields": {"cached_input_tokens": "cached"}}],
    "no id, no model, no time": [{"rows": [request(0, id=None)]},
                                 {"rows": [request(0, model=None)]},
                                 {"rows": [request(0, startTime=None)]}],
    "a propensity above 1": [{"rows": [request(0, metadata={"router": {"propensity": 1.5}})]}],
    "a quote that never closes": [{"csv": [
        csv_row(i, '"Where is it?' if i == 30 else "Where is it?") for i in range(100)]}],
    "a file that is not UTF-8": [{"csv": [csv_row(i, "Köln?") for i in range(9)],
                                  "encoding": "cp1252"}],
    "a name that is misspelt": [{"requests": "gone.jsonl"}],
    "a key that does not exist": [{"label_rows": [LABEL], "label_fields": {"vote": "value"}}],
}  # fmt: skip


def fragments(cell: str) -> list[str]:
    """Pieces of a cell that are printed word for word; … stands for anything."""
    spans = re.findall(r"`([^`]+)`", cell)
    rest = re.sub(r"`[^`]+`", "…", cell)
    words = [part.strip(" :,") for part in rest.split("…")]
    return [piece for piece in [*spans, *words] if piece]


def test_every_row_of_the_table_is_tried() -> None:
    assert list(table()) == list(INPUTS)
    assert len(INPUTS) >= 20


@pytest.mark.parametrize("name", INPUTS)
def test_the_table_says_what_is_printed(tmp_path: Path, name: str) -> None:
    texts = []
    for given in INPUTS[name]:
        parts = dict(given)
        if lines := parts.pop("csv", None):
            parts["requests"] = csv_log(tmp_path, lines, parts.pop("encoding", "utf-8"))
        texts.append(said(tmp_path, **parts))
    text = " ".join(" ".join(texts).split())
    shown, setting = table()[name]
    for piece in [*fragments(shown), *re.findall(r"`([^`]+)`", setting)]:
        pattern = ".*".join(re.escape(part) for part in re.split("…|\\.\\.\\.", piece))
        assert re.search(pattern, text), f"{piece!r} is not in: {text}"
