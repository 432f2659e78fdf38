"""The manifest: what a bundle is, for whoever reads it.

Format 2
--------
``manifest.json``, ``router.onnx``, ``tokenizer.json``, ``policy.json``, ``prices.json``; further
files (``answer.onnx``, ``cascade.json``) are optional and listed like the rest. The graph takes any
of :data:`router_ml.runtime.inputs.INPUTS`. In format 1, which is still read, its tokens came padded
alone, as ``input_ids``; the manifest is the same.

To go to format 3: raise ``FORMAT_VERSION``, keep reading the former ones by turning their manifest
into the new shape, and keep a bundle of each among the tests that must still score.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from router_ml.errors import BundleError, BundleVersionError

FORMAT_VERSION: Final = 2
READ: Final = (1, 2)
"""Formats that this release reads."""


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What turns a query into the graph's inputs.

    Parameters
    ----------
    lexical : column names, in order
    layout : how token ids are laid out, arguments of
        :class:`router_ml.features.tokenizer.TokenLayout`
    encoder : ``kind``, ``dims``, ``digest`` and source of the encoder inside the graph
    """

    lexical: tuple[str, ...]
    layout: Mapping[str, Any]
    encoder: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Contents of ``manifest.json``.

    Parameters
    ----------
    bundle_id : hash of the other files' digests, so that equal contents have equal ids
    created : UTC time, ISO 8601
    candidates : one mapping a candidate: ``name``, ``provider``, ``context_window``,
        ``max_output_tokens``, ``capabilities``
    features : see :class:`FeatureSpec`
    calibration : summary such as ``{"method": "isotonic", "ece": 0.01}``
    training : fingerprint of the training data, its size and span
    reference : reference statistics of the inputs, for drift
    libraries : versions of what wrote the bundle
    files : SHA-256 by file name
    format_version : see the module
    """

    bundle_id: str
    created: str
    candidates: tuple[Mapping[str, Any], ...]
    features: FeatureSpec
    calibration: Mapping[str, Any]
    training: Mapping[str, Any]
    reference: Mapping[str, Any]
    libraries: Mapping[str, str]
    files: Mapping[str, str]
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Indented JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parse and check the version before anything else.

        Raises
        ------
        BundleVersionError
            If the format is not one that this release reads.
        BundleError
            If the text is no manifest.
        """
        try:
            data = json.loads(text)
            version = data["format_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(
                f"manifest.json must be a JSON object with format_version: {error}"
            ) from error
        if version not in READ:
            raise BundleVersionError(
                f"this release reads bundle formats {READ}, the bundle has {version!r}; "
                "export it again, or install the release that wrote it"
            )
        missing = {f.name for f in fields(cls)} - set(data)
        if missing:
            raise BundleError(f"manifest.json lacks {', '.join(sorted(missing))}")
        spec = data["features"]
        data["features"] = FeatureSpec(
            lexical=tuple(spec["lexical"]),
            layout=spec["layout"],
            encoder=spec["encoder"],
        )
        data["candidates"] = tuple(data["candidates"])
        return cls(**{f.name: data[f.name] for f in fields(cls)})
