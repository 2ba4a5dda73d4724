"""The performance model of a TensorRT-LLM engine."""
