"""The files that make a bundle a cascade: ``answer.onnx`` and ``cascade.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from router_ml.bundle.files import Bundle
from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.policies.cascade_routing import CascadeRoutingPolicy
from router_ml.cascade.policies.sequential import SequentialPolicy
from router_ml.errors import BundleError

ANSWER: Final = "answer.onnx"
CASCADE: Final = "cascade.json"
POLICIES: Final[Mapping[str, type[CascadePolicy] | type[CascadeRoutingPolicy]]] = {
    policy.name: policy for policy in (CascadePolicy, CascadeRoutingPolicy)
}


@dataclass(frozen=True, slots=True)
class CascadeFiles:
    """What a bundle holds of a cascade.

    Parameters
    ----------
    policy : decides the steps
    layout : readers and columns of the answer scorer
    graph : the scorer, serialised
    """

    policy: SequentialPolicy
    layout: AnswerLayout
    graph: bytes

    def to_files(self) -> dict[str, bytes]:
        """Extra files of a bundle; see ``BundleContents.extras``."""
        spec = {"policy": self.policy.to_dict(), **self.layout.to_dict()}
        return {ANSWER: self.graph, CASCADE: json.dumps(spec, indent=1).encode()}


def read_cascade(bundle: Bundle) -> CascadeFiles | None:
    """The bundle's cascade, ``None`` without one.

    Raises
    ------
    BundleError
        If this release lacks its policy, a reader or a column.
    """
    if ANSWER not in bundle.files or CASCADE not in bundle.files:
        return None
    spec = json.loads(bundle.files[CASCADE])
    return CascadeFiles(
        policy=policy_from_dict(spec["policy"]),
        layout=AnswerLayout.from_dict(spec, lexical=bundle.manifest.features.lexical),
        graph=bundle.files[ANSWER],
    )


def policy_from_dict(spec: Mapping[str, Any]) -> SequentialPolicy:
    """Build a cascade policy from what its ``to_dict`` gave; BundleError if there is none such."""
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in POLICIES:
        raise BundleError(f"cascade policy must be one of {', '.join(POLICIES)}, got {name!r}")
    try:
        return POLICIES[name](**arguments)
    except TypeError as error:
        raise BundleError(f"cascade policy {name!r} does not take {arguments}: {error}") from error
