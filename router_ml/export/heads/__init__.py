"""One file an estimator: how its prediction is written as ONNX nodes."""
