"""One simulated engine: what its times and limits follow from."""

import json
from dataclasses import asdict, dataclass

from er.config import Config, Hardware, Model, Precision, SimulatedEngine
from er.errors import ConfigError


@dataclass(frozen=True)
class EngineSpec:
    """A model in a precision on `tp` GPUs of a node type, and how the engine is set."""

    model: Model
    precision: Precision
    tp: int
    hardware: Hardware
    engine: SimulatedEngine

    @property
    def name(self) -> str:
        """Which kernel times it needs, as the tables in `data/` call it."""
        return f"{self.model.name}/{self.precision.value}/tp{self.tp}"


def spec_of(config: Config) -> EngineSpec:
    """The engine of a deployment; all its experts are alike.

    Raises ConfigError when the engine is not a simulated one.
    """
    if not isinstance(config.engine, SimulatedEngine):
        raise ConfigError(
            f"engine.kind is {config.engine.kind}: only engine=simulated can be simulated"
        )
    deployment = config.deployment
    return EngineSpec(
        deployment.model, deployment.precision, deployment.tp, config.hardware, config.engine
    )


def to_json(spec: EngineSpec) -> str:
    """The specification as text, for another process."""
    return json.dumps({**asdict(spec), "precision": spec.precision.value})


def from_json(text: str) -> EngineSpec:
    """What `to_json` wrote."""
    given = json.loads(text)
    return EngineSpec(
        Model(**given["model"]),
        Precision(given["precision"]),
        given["tp"],
        Hardware(**given["hardware"]),
        SimulatedEngine(**given["engine"]),
    )
