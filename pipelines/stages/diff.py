"""Two routers beside one another: what moves, what that does to quality and cost, and where."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.artifacts import ExportFolder, JoinedFolder, RunFolders
from pipelines.config import DiffConfig
from pipelines.console import console, print_table
from pipelines.registry.tracking import registry_errors
from pipelines.registry.versions import contender, registry_client
from pipelines.report.router_diff import RouterDiff, write_diff
from pipelines.stages.breakdown import print_segments
from router_ml.bundle.files import MANIFEST
from router_ml.data.held_out import HeldOut
from router_ml.errors import ConfigError, RegistryError
from router_ml.evaluation.gate.gate import Gate
from router_ml.evaluation.gate.pairing import Contender, PairedRows, Played, pair
from router_ml.evaluation.intervals import bootstrap_mean
from router_ml.evaluation.segmentation import segmentations
from router_ml.evaluation.segments import Segment, segment_table
from router_ml.runtime.runtime import Runtime

MAX_FLOWS: Final = 10
_MIN_FLOW_ROWS: Final = 10


@dataclass(frozen=True, slots=True)
class _Side:
    """A router, what it is called, and the log that it was registered with."""

    label: str
    contender: Contender
    joined: Path | None = None
    matrix: Path | None = None


def run(config: DiffConfig) -> RouterDiff:
    """Compare two routers on the same rows, as if neither had been trained on them.

    Raises
    ------
    ConfigError
        If a name is neither an alias, a version nor a folder with a bundle; or no log is known.
    RegistryError
        If the registry cannot be reached, or has no such version.
    DataError
        If the data cannot carry a comparison at all.
    """
    with tempfile.TemporaryDirectory(prefix="router-diff-") as folder:
        old, new = (_side(config, name, Path(folder)) for name in (config.old, config.new))
        joined, matrix = config.joined, config.matrix
        if joined is None and matrix is None:
            joined, matrix = new.joined or old.joined, new.matrix or old.matrix
        if joined is None and matrix is None:
            raise ConfigError(
                "neither router says which log it was learned from; name --joined or --matrix"
            )
        rows = pair(new.contender, old.contender, joined=joined, matrix=matrix)
    played = rows.played
    assert played is not None
    report = Gate(margin=config.margin).judge(
        rows.quality_difference, rows.cost_difference, group_id=rows.group_id
    )
    old_cost = float((played.cost_usd - rows.cost_difference).mean())
    change = report.checks[1].estimate.value
    found = RouterDiff(
        old=old.label,
        new=new.label,
        quality=report.checks[0].estimate,
        cost_usd=report.checks[1].estimate,
        cost_ratio=1.0 + change / old_cost if old_cost > 0 else None,
        verdict=report.verdict,
        basis=rows.basis,
        unsupported=rows.unsupported,
        moved=rows.shift.moved,
        traffic=tuple(
            (name, float(before), float(after))
            for name, before, after in zip(
                rows.candidates, rows.shift.before, rows.shift.after, strict=True
            )
        ),
        flows=_flows(rows, played),
        segments=_segments(rows, played),
        changes=_changes(old.contender.runtime, new.contender.runtime),
        examples=_examples(rows, played, config.examples),
    )
    _print(found)
    if config.output is not None:
        console.print(f"written to {write_diff(config.output, found)}")
    return found


def _side(config: DiffConfig, name: str, folder: Path) -> _Side:
    path = Path(name)
    if path.is_dir():
        return _of_folder(path)
    if not (name.startswith("@") or name.isdecimal()):
        raise ConfigError(
            f"expected an alias such as @champion, a version's number or a folder with a bundle, "
            f"got {name!r}"
        )
    with registry_errors(f"look up {name} of {config.name}"):
        client = registry_client()
        version = name
        if name.startswith("@"):
            found = client.get_registered_model(config.name).aliases.get(name[1:])
            if found is None:
                raise RegistryError(
                    f"no version of {config.name} has the alias {name[1:]}; name one by its number"
                )
            version = str(found)
        run_id = client.get_model_version(config.name, version).run_id
        params = client.get_run(run_id).data.params if run_id else {}
        joined, matrix = (_there(params, key) for key in ("joined", "matrix"))
        label = f"{name} (version {version})" if name.startswith("@") else f"version {version}"
        return _Side(label, contender(client, config.name, version, folder), joined, matrix)


def _there(params: dict[str, str], key: str) -> Path | None:
    """A path that a run was registered with, if it is still there."""
    path = Path(params.get(f"register.{key}", "null"))
    return path if path.exists() else None


def _of_folder(path: Path) -> _Side:
    runs = RunFolders(path)
    places = (path, ExportFolder(path).bundle, runs.bundle)
    bundle = next((place for place in places if (place / MANIFEST).is_file()), None)
    if bundle is None:
        raise ConfigError(f"expected a bundle in {path}, found no {MANIFEST}")
    held_out = HeldOut.load(runs.trained) if bundle == runs.bundle else None
    joined = runs.joined if JoinedFolder(runs.joined).outcomes.is_file() else None
    runtime = Runtime.from_folder(bundle, random_state=0)
    return _Side(
        f"{path.resolve().name} ({runtime.manifest.bundle_id})",
        Contender(runtime, held_out),
        joined,
    )


def _segments(rows: PairedRows, played: Played) -> tuple[Segment, ...]:
    by = {
        kind: np.array(labels, dtype=object)[played.query].tolist()
        for kind, labels in segmentations(rows.queries).items()
    }
    table = segment_table(
        played.quality,
        played.quality - rows.quality_difference,
        played.cost_usd,
        played.cost_usd - rows.cost_difference,
        by=by,
        group_id=rows.group_id,
    )
    return tuple(table)


def _flows(rows: PairedRows, played: Played) -> tuple[tuple[str, int, Any, float], ...]:
    """Name, rows, difference of quality, difference of cost of requests that change hands."""
    before, after = played.before.argmax(axis=1), played.after.argmax(axis=1)
    k = len(rows.candidates)
    count = np.bincount(before * k + after, minlength=k * k).reshape(k, k)
    np.fill_diagonal(count, 0)
    found = []
    for flow in np.argsort(-count, axis=None, kind="stable")[:MAX_FLOWS]:
        i, j = divmod(int(flow), k)
        if count[i, j] < _MIN_FLOW_ROWS:
            break
        inside = (before == i) & (after == j)
        estimate = bootstrap_mean(
            rows.quality_difference[inside], group_id=rows.group_id[inside], n_resamples=500
        )
        found.append((
            f"{rows.candidates[i]} → {rows.candidates[j]}", int(count[i, j]), estimate,
            float(rows.cost_difference[inside].mean()),
        ))  # fmt: skip
    return tuple(found)


def _changes(old: Runtime, new: Runtime) -> tuple[tuple[str, str, str], ...]:
    """What the two bundles say of themselves, where they differ."""
    facts = [_facts(old), _facts(new)]
    names = dict.fromkeys([*facts[0], *facts[1]])
    pairs = [(name, facts[0].get(name, "–"), facts[1].get(name, "–")) for name in names]
    return tuple(row for row in pairs if row[1] != row[2])


def _facts(runtime: Runtime) -> dict[str, str]:
    manifest, table = runtime.manifest, runtime.candidates
    training = manifest.training
    found = {
        "bundle": manifest.bundle_id,
        "exported": manifest.created,
        "policy": runtime.policy.reason,
        "requests learned from": f"{training.get('rows', 0):,}",
        "labels": f"{training.get('labelled_cells', 0):,}",
        "encoder": f"{manifest.features.encoder.get('kind', '')} "
        f"{manifest.features.encoder.get('digest', '')}",
        "lexical columns": f"{len(manifest.features.lexical)}",
        "floor": str(manifest.calibration.get("verdict", "–")),
    }
    for k, name in enumerate(table.names):
        found[f"{name}, $ per Mtok"] = (
            f"{table.input_usd_per_mtok[k]:g} in, {table.output_usd_per_mtok[k]:g} out"
        )
    libraries = manifest.libraries
    return found | {f"library {name}": value for name, value in libraries.items()}


def _examples(rows: PairedRows, played: Played, n: int) -> tuple[tuple[str, str, str], ...]:
    """Distinct requests whose most likely candidate changes, evenly over the rows."""
    before, after = played.before.argmax(axis=1), played.after.argmax(axis=1)
    moved = np.flatnonzero(before != after)
    _, first = np.unique(played.query[moved], return_index=True)
    moved = moved[np.sort(first)]
    chosen = moved[np.linspace(0, len(moved) - 1, min(n, len(moved))).astype(int)] if n else []
    return tuple(
        (_shortened(rows.queries[played.query[i]].ask), rows.candidates[before[i]],
         rows.candidates[after[i]])
        for i in chosen
    )  # fmt: skip


def _shortened(text: str, most: int = 200) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _print(found: RouterDiff) -> None:
    print_table(
        f"{found.new} beside {found.old}: {found.moved:.0%} of the requests move",
        ("candidate", "before", "after"),
        [(name, f"{before:.1%}", f"{after:.1%}") for name, before, after in found.traffic],
    )
    console.print(found.sentence, highlight=False, soft_wrap=True)
    console.print(f"Judged on {found.basis}.", highlight=False, soft_wrap=True)
    if found.unsupported:
        console.print(found.unsupported, markup=False, highlight=False, soft_wrap=True)
    if found.segments:
        print_segments(found.segments, found.new, found.old)
