"""The names of a deployment's models in Triton."""

from er.config import Deployment


def model_names(deployment: Deployment) -> list[str]:
    """`expert_0`... if the deployment is routed; otherwise `ensemble`, as NVIDIA's backend has."""
    if deployment.routed:
        return [f"expert_{index}" for index in range(deployment.experts)]
    return ["ensemble"]
