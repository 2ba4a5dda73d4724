"""The kinds of engines that Triton can serve, and the models that a deployment needs."""
