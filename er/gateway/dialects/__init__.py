"""What clients and experts say: Triton's generate extension and OpenAI's API."""
