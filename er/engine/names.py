"""What the models of a deployment are called in Triton."""

from er.config import Deployment


def model_names(deployment: Deployment) -> list[str]:
    """`expert_0`... when routed, else `ensemble`, as the TensorRT-LLM backend calls it."""
    if deployment.routed:
        return [f"expert_{index}" for index in range(deployment.experts)]
    return ["ensemble"]
