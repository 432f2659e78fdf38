"""A trained bundle against its estimators, through the runtime, on odd input; and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router_ml.bundle.files import BundleContents, read_bundle, write_bundle
from router_ml.bundle.manifest import FeatureSpec
from router_ml.data.synthetic import SyntheticWorld
from router_ml.errors import BundleIntegrityError, BundleVersionError, ParityError
from router_ml.estimators.registry import make_estimator
from router_ml.estimators.router import Outcomes, RouterEstimator
from router_ml.export.parity import check_parity, odd_queries
from router_ml.export.router import export_router
from router_ml.features.featurizer import Featurizer
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query, parse_query
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.runtime.runtime import Runtime
from tests.bundles import wordpiece

N, K = 1_000, 4


@pytest.fixture(scope="module")
def encoder() -> StaticEncoder:
    text = wordpiece().to_str()
    layout = TokenLayout(pad_id=0, separator_id=0)
    tokenizer = QueryTokenizer(tokenizer_json=text, layout=layout)
    size = wordpiece().get_vocab_size()
    table = np.random.default_rng(0).normal(size=(size, 16)).astype(np.float32)
    return StaticEncoder(table=table, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def queries() -> list[Query]:
    sample = SyntheticWorld(n_candidates=K, random_state=0).sample(N, random_state=1)
    return [
        parse_query(
            text, [{"name": name, "description": description} for name, description in tools]
        )
        for text, tools in zip(sample.text, sample.tools, strict=True)
    ]


@pytest.fixture(scope="module")
def router(encoder: StaticEncoder, queries: list[Query]) -> RouterEstimator:
    world = SyntheticWorld(n_candidates=K, random_state=0)
    sample = world.sample(N, random_state=1)
    hidden = np.random.default_rng(2).integers(K, size=N)[:, None] != np.arange(K)
    outcomes = Outcomes(
        *(
            np.where(hidden, np.nan, values)
            for values in (
                sample.quality,
                sample.input_tokens,
                sample.output_tokens,
                sample.latency_ms,
            )
        )
    )
    batch = Featurizer(encoder=encoder).transform(queries)
    quality = make_estimator({"name": "stacked"})
    return RouterEstimator(quality=quality).fit(batch, outcomes, candidates=world.candidates)


@pytest.fixture(scope="module")
def bundle(
    tmp_path_factory: pytest.TempPathFactory, encoder: StaticEncoder, router: RouterEstimator
) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    candidates = SyntheticWorld(n_candidates=K, random_state=0).candidates
    layout = {"pad_id": 0, "separator_id": 0, "max_tokens": 1024}
    write_bundle(
        folder,
        BundleContents(
            graph=export_router(router, encoder, n_candidates=K),
            tokenizer_json=encoder.tokenizer.to_json(),
            features=FeatureSpec(lexical=NAMES, layout=layout, encoder={"kind": "static"}),
            policy={"name": "cost_aware", "cost_weight": 10.0},
            candidates=candidates,
        ),
    )
    return folder


def copy_of(bundle: Path, folder: Path) -> Path:
    folder.mkdir()
    for path in bundle.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_graph_and_python_agree_on_a_thousand_mixed_queries(
    bundle: Path, encoder: StaticEncoder, router: RouterEstimator, queries: list[Query]
) -> None:
    report = check_parity(
        router,
        Featurizer(encoder=encoder),
        Runtime.from_folder(bundle),
        [*queries, *odd_queries()],
    )
    assert max(*report.max_error.values(), report.batch_error) < 1e-4
    assert report.equal_decisions >= 0.999
    assert report.n == N + len(odd_queries())


def test_another_estimator_is_caught(
    bundle: Path, encoder: StaticEncoder, router: RouterEstimator, queries: list[Query]
) -> None:
    candidates = SyntheticWorld(n_candidates=K, random_state=0).candidates
    batch = Featurizer(encoder=encoder).transform(queries)
    quality = router.quality.predict(batch, candidates).clip(0.1, 0.9)
    other = RouterEstimator(
        quality=make_estimator({"name": "linear"}).fit(batch, quality, candidates=candidates),
        input_tokens=router.input_tokens,
        output_tokens=router.output_tokens,
        latency_ms=router.latency_ms,
    )
    with pytest.raises(ParityError, match="must agree within"):
        check_parity(other, Featurizer(encoder=encoder), Runtime.from_folder(bundle), queries[:200])


def test_a_changed_byte_is_refused(bundle: Path, tmp_path: Path) -> None:
    broken = copy_of(bundle, tmp_path / "broken")
    data = bytearray((broken / "router.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (broken / "router.onnx").write_bytes(data)
    with pytest.raises(BundleIntegrityError, match=r"router\.onnx has SHA-256"):
        read_bundle(broken)


@pytest.mark.parametrize("name", ["router.onnx", "tokenizer.json", "policy.json", "prices.json"])
def test_a_missing_file_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    broken = copy_of(bundle, tmp_path / "broken")
    (broken / name).unlink()
    with pytest.raises(BundleIntegrityError, match="found none"):
        read_bundle(broken)


def test_an_unknown_format_is_refused_before_anything_else(bundle: Path, tmp_path: Path) -> None:
    broken = copy_of(bundle, tmp_path / "broken")
    manifest = json.loads((broken / "manifest.json").read_text())
    manifest["format_version"] = 99
    (broken / "manifest.json").write_text(json.dumps(manifest))
    (broken / "router.onnx").unlink()
    with pytest.raises(
        BundleVersionError, match=r"reads bundle formats \(1, 2\), the bundle has 99"
    ):
        read_bundle(broken)


def test_a_path_in_the_manifest_is_refused(bundle: Path, tmp_path: Path) -> None:
    broken = copy_of(bundle, tmp_path / "broken")
    manifest = json.loads((broken / "manifest.json").read_text())
    manifest["files"]["../escape"] = "0" * 64
    (broken / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleIntegrityError, match="no plain file name"):
        read_bundle(broken)
