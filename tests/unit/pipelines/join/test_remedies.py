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
        ({"rows": [request(0, startTime=1_772_000_000_000)]}, r"time_format \(ms, us, ns"),
        ({"rows": [request(0, startTime="01/03/2026 12:00", endTime=None)]}, r"time_format"),
        ({"rows": [request(0, prompt_tokens=None)]}, r"request_fields.input_tokens"),
        ({"rows": [request(0, messages=None)]}, r"no_text .*request_fields.messages"),
        ({"rows": [request(0, model=None)]}, r"request_fields.candidate_served"),
        ({"rows": [request(0, status="perhaps")]}, r"status 'perhaps' .*request_fields.status"),
        ({"rows": [request(0, id=None)]}, r"name where the id is kept"),
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
