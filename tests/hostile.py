"""Bundles whose digests are right and whose graphs are not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.bundles import make_bundle


def hostile_bundle(folder: Path, kind: str, **options: Any) -> str:
    """Write a bundle of ``make_bundle`` with its quality made wrong; its id.

    Parameters
    ----------
    kind : ``nan``, ``range`` (above 1), ``endless`` (a loop) or ``memory`` (16 GB)
    """
    make_bundle(folder, **options)
    model = onnx.load_from_string((folder / "router.onnx").read_bytes())
    graph = model.graph
    last = next(node for node in graph.node if node.output[0] == "quality")
    wrong = {"nan": _nan, "range": _range, "endless": _endless, "memory": _memory}[kind]
    nodes, constants = wrong(last.input[0])
    graph.initializer.extend(constants)
    position = list(graph.node).index(last)
    for offset, node in enumerate(nodes):
        graph.node.insert(position + offset, node)
    last.input[0] = nodes[-1].output[0]
    (folder / "router.onnx").write_bytes(model.SerializeToString())
    return sign(folder)


def sign(folder: Path) -> str:
    """Make the manifest's digests those of the files; the new id."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    text = json.dumps(manifest["files"], sort_keys=True)
    manifest["bundle_id"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    path.write_text(json.dumps(manifest))
    return str(manifest["bundle_id"])


Parts = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def _constant(name: str, value: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _nan(quality: str) -> Parts:
    node = helper.make_node("Add", [quality, "h_nan"], ["h_out"])
    return [node], [_constant("h_nan", np.float32(np.nan))]


def _range(quality: str) -> Parts:
    node = helper.make_node("Add", [quality, "h_seven"], ["h_out"])
    return [node], [_constant("h_seven", np.float32(7))]


def _endless(quality: str) -> Parts:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["h_go"], ["h_go_on"]),
            helper.make_node("Add", ["h_state", "h_state"], ["h_next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("h_i", TensorProto.INT64, []),
            helper.make_tensor_value_info("h_go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h_state", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("h_go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h_next", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["", "h_true", quality], ["h_out"], body=body)
    return [loop], [_constant("h_true", np.bool_(True))]


def _memory(quality: str) -> Parts:
    nodes = [
        helper.make_node("ReduceMax", [quality], ["h_max"], keepdims=0),
        helper.make_node("Expand", ["h_max", "h_shape"], ["h_huge"]),
        helper.make_node("Exp", ["h_huge"], ["h_huger"]),
        helper.make_node("ReduceMin", ["h_huger"], ["h_min"], keepdims=0),
        helper.make_node("Min", [quality, "h_min"], ["h_out"]),
    ]
    return nodes, [_constant("h_shape", np.array([1 << 20, 1 << 12], np.int64))]
