"""Start Triton, prove it ready by an inference, and stop it."""
