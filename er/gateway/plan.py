"""What a gateway's process needs to know: a file of JSON, checked again when it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from er.config import FastGateway, Gateway, Policy
from er.config.gateway import FAST, is_openai
from er.errors import ConfigError
from er.gateway.counts import REPLICAS_AT_MOST

STREAM = "generate_stream"


@dataclass
class Plan:
    """One gateway: its settings, its experts and who chooses between them."""

    gateway: Gateway
    experts: list[list[str]]  # for each cluster, the addresses of its replicas
    policy: Policy
    router: str = ""  # file of the trained router, of the policy kmeans
    seed: int = 0  # of the policy random
    shares: Sequence[float] = ()  # likewise; empty: equal
    port_file: str = ""  # where the port is written once it is open

    def __post_init__(self) -> None:
        if not self.experts or not all(self.experts):
            raise ConfigError("gateway.experts is empty: give an address for each cluster")
        addresses = sum(map(len, self.experts))
        if addresses > REPLICAS_AT_MOST:
            raise ConfigError(
                f"gateway.experts has {addresses} addresses: give {REPLICAS_AT_MOST} at most"
            )
        several = any(len(replicas) > 1 for replicas in self.experts)
        if several and self.gateway.kind != FAST:
            raise ConfigError(f"gateway={self.gateway.kind} knows no replicas: choose gateway=fast")
        openai = [url for replicas in self.experts for url in replicas if is_openai(url)]
        if openai and self.gateway.kind != FAST:
            raise ConfigError(
                f"gateway={self.gateway.kind} knows no OpenAI experts ({openai[0]}): "
                "choose gateway=fast"
            )
        whole = [url for [url, *_] in self.experts if not url.rstrip("/").endswith(STREAM)]
        if whole and self.gateway.kind != FAST:
            raise ConfigError(
                f"gateway={self.gateway.kind} sends prompts to the address as it is ({whole[0]}): "
                f"give one that ends with /{STREAM}, or choose gateway=fast"
            )

    @property
    def shape(self) -> tuple[Policy, Path | None, int, int, Sequence[float]]:
        """What a chooser is made from."""
        router = Path(self.router) if self.router else None
        return self.policy, router, len(self.experts), self.seed, self.shares

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.write_bytes(msgspec.json.encode(self))


def read(path: Path) -> Plan:
    """The plan in a file. Raises ConfigError when it is none, or breaks a rule."""
    try:
        fields = msgspec.json.decode(path.read_bytes())
        kind = FastGateway if fields["gateway"]["kind"] == FAST else Gateway
        gateway = msgspec.convert(fields.pop("gateway"), kind)
        return Plan(gateway, **fields | {"policy": Policy(fields["policy"])})
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} is no plan of a gateway: {error}") from error
