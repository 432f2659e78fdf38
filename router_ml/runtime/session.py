"""ONNX Runtime, as every graph of a bundle is run."""

from __future__ import annotations

from typing import Any

from router_ml.errors import BundleError


def open_session(graph: bytes, name: str) -> Any:
    """A session in one thread.

    Sums over tokens are taken in their order, and two threads would add to one row at once; one is
    also fastest for one request.

    Parameters
    ----------
    graph : serialised ONNX model
    name : of its file, for the message

    Raises
    ------
    BundleError
        If ONNX Runtime refuses it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many classes without a common base
        raise BundleError(f"ONNX Runtime does not accept {name}: {error}") from error
