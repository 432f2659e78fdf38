"""A small builder for the bundle's ONNX graph.

Every estimator's head is added by its own function (:mod:`router_ml.export.heads`) to one graph, so
that a request costs one ``InferenceSession.run``. Names are made unique here; heads only name ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from router_ml.errors import ExportError

OPSET: Final = 17
ML_OPSET: Final = 3
IR_VERSION: Final = 9


@dataclass(frozen=True, slots=True)
class FeatureTensors:
    """Names of the tensors that heads start from.

    Parameters
    ----------
    embedding : float32, (batch, dims), unit length
    lexical : float32, (batch, n_lexical)
    """

    embedding: str
    lexical: str


class GraphBuilder:
    """Collects nodes and constants; :meth:`build` checks and returns the model.

    Examples
    --------
    >>> graph = GraphBuilder()
    >>> x = graph.input("x", np.float32, ("batch", 2))
    >>> graph.output(graph.op("Add", x, graph.constant(np.float32(1))), "y", ("batch", 2))
    >>> [output.name for output in graph.build().graph.output]
    ['y']
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._done: dict[str, str] = {}
        self._count = 0

    def input(self, name: str, dtype: type[np.generic], shape: Sequence[str | int]) -> str:
        """Declare a graph input, if it is not declared yet; strings are free dimensions."""
        if all(value.name != name for value in self._inputs):
            self._inputs.append(_value_info(name, dtype, shape))
        return name

    def output(
        self,
        tensor: str,
        name: str,
        shape: Sequence[str | int],
        dtype: type[np.generic] = np.float32,
    ) -> None:
        """Declare ``tensor`` as the graph output ``name``."""
        self._nodes.append(helper.make_node("Identity", [tensor], [name], name=f"output_{name}"))
        self._outputs.append(_value_info(name, dtype, shape))

    def constant(self, value: Any, dtype: type[np.generic] | None = None) -> str:
        """Store an array in the graph (equal ones once) and return its name."""
        array = np.asarray(value, dtype=dtype)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._known:
            name = self._name("const")
            self._known[key] = name
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return self._known[key]

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node (equal ones once) and return its first output; TopK's second is dropped."""
        # Trees are lists of tens of thousands of numbers, and never equal.
        key = "" if domain else repr((kind, inputs, sorted(attributes.items())))
        if key in self._done:
            return self._done[key]
        name = self._name(kind.lower())
        if key:
            self._done[key] = name
        outputs = [name, f"{name}_index"] if kind == "TopK" else [name]
        self._nodes.append(
            helper.make_node(kind, list(inputs), outputs, name=name, domain=domain, **attributes)
        )
        return name

    def add_model(self, model: onnx.ModelProto, inputs: dict[str, str], output: str) -> str:
        """Splice in another model: ``inputs`` maps its input names to tensors of this graph.

        Returns the tensor that stands for its output ``output``.
        """
        prefix = self._name("model")
        names = dict(inputs)

        def rename(name: str) -> str:
            return names.setdefault(name, f"{prefix}_{name}") if name else ""

        for tensor in model.graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = rename(tensor.name)
            self._constants[copy.name] = copy
        for node in model.graph.node:
            twin = onnx.NodeProto()
            twin.CopyFrom(node)
            twin.name = rename(node.name or node.output[0])
            twin.input[:] = [rename(name) for name in node.input]
            twin.output[:] = [rename(name) for name in node.output]
            self._nodes.append(twin)
        return rename(output)

    def build(self) -> onnx.ModelProto:
        """Check the graph and return it; ExportError if it is not valid ONNX."""
        graph = helper.make_graph(
            self._nodes, "router", self._inputs, self._outputs, list(self._constants.values())
        )
        opsets = [
            helper.make_opsetid("", OPSET),
            helper.make_opsetid("ai.onnx.ml", ML_OPSET),
            helper.make_opsetid("com.microsoft", 1),
        ]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="router-ml"
        )
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise ExportError(f"the built graph is not valid ONNX: {error}") from error
        return model

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


def _value_info(
    name: str, dtype: type[np.generic], shape: Sequence[str | int]
) -> onnx.ValueInfoProto:
    kind = TensorProto.DataType.Value(np.dtype(dtype).name.upper().replace("FLOAT32", "FLOAT"))
    return helper.make_tensor_value_info(name, kind, list(shape))
