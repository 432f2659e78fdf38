"""Fitted estimators to one ONNX graph, and the proof that both agree."""
