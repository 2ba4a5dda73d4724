"""The title of a run, from its configuration as JSON has it."""

from typing import Any

STOPS_AT_EOS = "answers end where the model ends them"


def title(config: dict[str, Any]) -> str:
    """The deployment, such as "Expert Router, 8 x Llama 3 70B INT8, TP=1", and unusual settings.

    Unusual are another policy than the trained router, experts that fail, and answers that the
    model may end.
    """
    deployment = config["deployment"]
    model = deployment["model"].get("title") or deployment["model"]["name"]
    engines = f"{model} {deployment['precision'].upper()}, TP={deployment['tp']}"
    parts = [engines]
    if deployment.get("replicas", 1) > 1:
        parts = [f"{deployment['replicas']} replicas of {engines}"]
    elif deployment["experts"] > 1:
        parts = [f"Expert Router, {deployment['experts']} x {engines}"]
        if config["routing"]["policy"] != "kmeans":
            parts.append(f"{config['routing']['policy']} routing")
    elif deployment.get("behind_gateway"):
        parts = [f"{engines} behind a gateway"]
    for failure in config["clock"]["failures"]:
        parts.append(f"expert {failure['expert']} fails at {failure['at_s']:g} s")
    if stops_at_eos(config):
        parts.append(STOPS_AT_EOS)
    return ", ".join(parts)


def stops_at_eos(config: dict[str, Any]) -> bool:
    """Whether the model may end the answers of a run before their requested length."""
    return bool(config.get("workload", {}).get("stop_at_eos"))
