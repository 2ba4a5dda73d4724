"""What a model server runs: simulated TensorRT-LLM engines and a real small model."""
