"""A bundle from disk, exported by the last commit before format 2, still scores as it did.

``bundle_format_1`` was written by that commit's ``export_router`` and ``write_bundle`` from a stack
of kNN, linear and low-rank members on a 16-dimensional static encoder;
``bundle_format_1_expected.json`` holds what its own runtime said.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router_ml.errors import BundleError
from router_ml.features import lexical
from router_ml.features.query import parse_query
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle

FOLDER = Path(__file__).with_name("bundle_format_1")
EXPECTED = json.loads(FOLDER.with_name("bundle_format_1_expected.json").read_text())
TOOL = {
    "name": "weather",
    "description": "Weather of a city",
    "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]},
}
QUERIES = [*map(parse_query, EXPECTED["asks"]), parse_query("Weather in Rome?", [TOOL])]


def check(runtime: Runtime) -> None:
    predictions = runtime.predict(QUERIES)
    for part, atol in (("quality", 1e-5), ("input_tokens", 0.01), ("latency_ms", 0.1)):
        np.testing.assert_allclose(getattr(predictions, part), EXPECTED[part], atol=atol)
    assert [runtime.decide(query).candidate for query in QUERIES] == EXPECTED["candidate"]


def test_a_format_1_bundle_scores_as_it_did() -> None:
    assert json.loads((FOLDER / "manifest.json").read_text())["format_version"] == 1
    check(Runtime.from_folder(FOLDER))


def test_new_lexical_columns_do_not_orphan_old_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release computes more columns, and not in the same order."""
    values = lexical.lexical_values
    monkeypatch.setattr(lexical, "NAMES", ("new", *lexical.NAMES[::-1]))
    later = "router_ml.runtime.scorer"
    monkeypatch.setattr(f"{later}.lexical_values", lambda query: (9.0, *values(query)[::-1]))
    monkeypatch.setattr(
        f"{later}.lexical_features",
        lambda query: np.array((9.0, *values(query)[::-1]), dtype=np.float32),
    )
    check(Runtime.from_folder(FOLDER))


def test_columns_of_a_later_release_are_named(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["features"]["lexical"][0] = "log_emoji"
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"needs a newer release.*log_emoji"):
        Runtime.from_folder(tmp_path / "bundle")
