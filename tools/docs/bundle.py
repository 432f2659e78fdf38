"""The page of the bundle format, from the manifest's module and the graph's inputs."""

from __future__ import annotations

import inspect

from pipelines.options import field_docs
from router_ml.bundle import files, manifest
from router_ml.cascade.runtime.files import ANSWER, CASCADE
from router_ml.runtime.inputs import INPUTS
from tools.docs.markdown import table
from tools.docs.rst import to_markdown

_FILES = (
    (files.MANIFEST, "what the bundle is, and the SHA-256 of every other file"),
    (files.GRAPH, "ONNX: encoder, estimators and calibration in one graph"),
    (files.TOKENIZER, "as the `tokenizers` library writes it"),
    (files.POLICY, "the policy's name and arguments; the service can replace it"),
    (files.PRICES, "US dollars per million tokens by candidate; the service can replace it"),
    (ANSWER, "optional: ONNX of a cascade's answer scorer"),
    (CASCADE, "optional: a cascade's policy, its answer readers and columns"),
)


def page() -> str:
    """Files, manifest, inputs, versions."""
    about = inspect.cleandoc(manifest.__doc__ or "").partition("\n\n")[2]
    versions = about.replace("\n--------\n", "\n\n").replace("Format 2\n", "### Format 2\n")
    inputs = [
        (f"`{name}`", kind.__name__, ", ".join(map(str, shape)))
        for name, (kind, shape) in INPUTS.items()
    ]
    read = ", ".join(map(str, manifest.READ))
    parts = [
        "# Bundle format",
        "A bundle is a folder of files and the only thing that is shipped. Nothing in it is "
        "pickled, so reading one runs no code. The reader checks the format version first, then "
        "every file's digest, then builds. This release writes format "
        f"{manifest.FORMAT_VERSION} and reads formats {read}.",
        "Generated from `router_ml/bundle/` and `router_ml/runtime/inputs.py`.",
        "## Files",
        table(("file", "holds"), [(f"`{name}`", text) for name, text in _FILES]),
        "## `manifest.json`",
        _fields(manifest.Manifest),
        "### `features`",
        _fields(manifest.FeatureSpec),
        "## Inputs of the graph",
        "A graph takes those that it declares.",
        table(("input", "type", "shape"), inputs),
        "## Versions",
        to_markdown(versions),
    ]
    return "\n\n".join(parts) + "\n"


def _fields(cls: type) -> str:
    rows = [(f"`{name}`", text) for name, text in field_docs(cls).items()]
    return table(("key", "meaning"), rows)
