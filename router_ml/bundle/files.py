"""Writing a bundle folder, and reading one only after its bytes are verified."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from router_ml.bundle.manifest import FeatureSpec, Manifest
from router_ml.errors import BundleError, BundleIntegrityError, ConfigError
from router_ml.types.candidates import CandidateTable

GRAPH: Final = "router.onnx"
TOKENIZER: Final = "tokenizer.json"
POLICY: Final = "policy.json"
PRICES: Final = "prices.json"
MANIFEST: Final = "manifest.json"
_CACHE_PRICES: Final = ("cached_input_usd_per_mtok", "cache_write_usd_per_mtok")
_REQUIRED: Final = (GRAPH, TOKENIZER, POLICY, PRICES)
_LIBRARIES: Final = ("numpy", "onnx", "onnxruntime", "lightgbm", "scikit-learn", "tokenizers")


@dataclass(frozen=True, slots=True)
class BundleContents:
    """All that goes into a bundle, before it has a name.

    Parameters
    ----------
    graph : the serialised ONNX model
    tokenizer_json : as the ``tokenizers`` library writes it
    features : what turns a query into the graph's inputs
    policy : ``Policy.to_dict()``
    candidates : in the order of the graph's columns
    calibration, training, reference : see :class:`router_ml.bundle.manifest.Manifest`
    extras : further files by name, such as ``answer.onnx``
    """

    graph: bytes
    tokenizer_json: str
    features: FeatureSpec
    policy: Mapping[str, Any]
    candidates: CandidateTable
    calibration: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle in memory; ``files`` holds the bytes whose digests were checked."""

    path: Path
    manifest: Manifest
    candidates: CandidateTable
    policy: Mapping[str, Any]
    files: Mapping[str, bytes]


def write_bundle(folder: Path, contents: BundleContents) -> Manifest:
    """Write a bundle folder; the manifest comes last, so that a half-written one is refused.

    Raises
    ------
    BundleError
        If the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BundleError(f"expected an empty folder for the bundle, {folder} is not; name another")
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        GRAPH: contents.graph,
        TOKENIZER: contents.tokenizer_json.encode(),
        POLICY: _json(contents.policy),
        PRICES: _json(prices_to_dict(contents.candidates)),
        **contents.extras,
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    manifest = Manifest(
        bundle_id=_bundle_id(digests),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        candidates=candidates_to_rows(contents.candidates),
        features=contents.features,
        calibration=contents.calibration,
        training=contents.training,
        reference=contents.reference,
        libraries=_versions(),
        files=digests,
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def add_files(folder: Path, files: Mapping[str, bytes]) -> Manifest:
    """Put further files into a bundle folder, and a new manifest that lists them.

    Raises
    ------
    BundleError
        If the folder holds no good bundle, or one of the files already.
    """
    manifest = read_bundle(folder).manifest
    if known := sorted(set(files) & set(manifest.files)):
        raise BundleError(f"{folder} holds {', '.join(known)} already; name other files")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    digests = {**manifest.files, **digests}
    manifest = replace(manifest, files=digests, bundle_id=_bundle_id(digests))
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle folder: version first, then every file's digest, then its contents.

    Raises
    ------
    BundleError
        If there is no manifest, or it is not one.
    BundleVersionError
        If the format is unknown.
    BundleIntegrityError
        If a file is missing or was changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleIntegrityError(f"expected {MANIFEST} in {folder}, found none; export again")
    manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
    lacking = [name for name in _REQUIRED if name not in manifest.files]
    if lacking:
        raise BundleIntegrityError(f"the manifest lists no {', '.join(lacking)}; export again")
    files: dict[str, bytes] = {}
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise BundleIntegrityError(f"the manifest names {name!r}, which is no plain file name")
        if not (folder / name).is_file():
            raise BundleIntegrityError(f"expected {name} in {folder}, found none; export again")
        files[name] = (folder / name).read_bytes()
        digest = hashlib.sha256(files[name]).hexdigest()
        if digest != expected:
            raise BundleIntegrityError(
                f"{name} has SHA-256 {digest[:12]}…, the manifest says {expected[:12]}…; its bytes "
                "were changed after export: fetch or export the bundle again"
            )
    return Bundle(
        path=folder,
        manifest=manifest,
        candidates=candidates_from(manifest.candidates, json.loads(files[PRICES])),
        policy=json.loads(files[POLICY]),
        files=files,
    )


def candidates_to_rows(table: CandidateTable) -> tuple[dict[str, Any], ...]:
    """Candidates as the manifest lists them, without prices."""
    return tuple(
        {
            "name": name,
            "provider": table.provider[k],
            "context_window": int(table.context_window[k]),
            "max_output_tokens": int(table.max_output_tokens[k]),
            "capabilities": sorted(table.capabilities[k]),
        }
        for k, name in enumerate(table.names)
    )


def prices_to_dict(table: CandidateTable) -> dict[str, dict[str, float]]:
    """Prices as ``prices.json`` holds them, US dollars per million tokens."""
    prices: dict[str, dict[str, float]] = {}
    for k, name in enumerate(table.names):
        prices[name] = {
            "input_usd_per_mtok": float(table.input_usd_per_mtok[k]),
            "output_usd_per_mtok": float(table.output_usd_per_mtok[k]),
        }
        for key in _CACHE_PRICES:
            if not np.isnan(price := getattr(table, key)[k]):
                prices[name][key] = float(price)
    return prices


def candidates_from(
    rows: tuple[Mapping[str, Any], ...], prices: Mapping[str, Mapping[str, float]]
) -> CandidateTable:
    """Candidates of a manifest at given prices.

    Raises
    ------
    ConfigError
        If a candidate has no price, or a price names no candidate.
    """
    names = tuple(str(row["name"]) for row in rows)
    if set(names) != set(prices):
        raise ConfigError(
            f"prices must name exactly the bundle's candidates; without a price: "
            f"{sorted(set(names) - set(prices))}, unknown: {sorted(set(prices) - set(names))}"
        )
    try:
        columns = {
            key: np.array([float(prices[name][key]) for name in names])
            for key in ("input_usd_per_mtok", "output_usd_per_mtok")
        }
        columns |= {
            key: np.array([float(prices[name].get(key, np.nan)) for name in names])
            for key in _CACHE_PRICES
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"each price needs input_usd_per_mtok and output_usd_per_mtok, numbers: {error!r}"
        ) from error
    return CandidateTable(
        names=names,
        **columns,
        context_window=np.array([int(row["context_window"]) for row in rows]),
        max_output_tokens=np.array([int(row["max_output_tokens"]) for row in rows]),
        provider=tuple(str(row["provider"]) for row in rows),
        capabilities=tuple(frozenset(row["capabilities"]) for row in rows),
    )


def _bundle_id(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(_json(digests)).hexdigest()[:16]


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode()


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
