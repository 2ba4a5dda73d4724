"""Namespaces for each node: a name, addresses and a clock of its own, and no other's loopback.

Root only. All hang on one bridge, whose address is that of the login node and the controller.
"""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

LOGIN = "login"


@dataclass(frozen=True)
class Networks:
    """Where each node is."""

    tag: str  # in the names of all that is made
    subnet: str  # its first three numbers
    nodes: Sequence[str]
    hosts: Path  # the file of names that nodes see

    def address(self, name: str) -> str:
        """Of a node, or of the login node."""
        return f"{self.subnet}.{1 if name == LOGIN else 11 + self.nodes.index(name)}"

    def namespace(self, node: str) -> str:
        """Of a node."""
        return f"er{self.tag}-{node}"

    def pids(self, node: str) -> list[int]:
        """Of all that runs on a node."""
        place = Path("/run/netns", self.namespace(node)).stat().st_ino
        found = []
        for pid in psutil.pids():
            with suppress(OSError):  # it has ended
                if Path(f"/proc/{pid}/ns/net").stat().st_ino == place:
                    found.append(pid)
        return found

    def end(self, node: str) -> None:
        """End all that runs on a node, without a word."""
        for pid in self.pids(node):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def cut(self, node: str) -> None:
        """Take its cable out: what is sent to it gets no answer, not even that it is gone."""
        ip(f"link set {self.bridge}{node} down")

    def join(self, node: str) -> None:
        """Put its cable in again."""
        ip(f"link set {self.bridge}{node} up")

    @property
    def bridge(self) -> str:
        """That all hang on."""
        return f"er{self.tag}"

    def ahead_s(self, node: str) -> int:
        """How far its monotonic clock is ahead of that of this host."""
        return 1000 * (1 + self.nodes.index(node))

    def inside(self, node: str, command: Sequence[str]) -> list[str]:
        """A command that runs on a node; `ip netns exec` mounts /sys anew, which breaks slurmd."""
        script = f'mount --bind {self.hosts} /etc/hosts && hostname {node} && exec "$@"'
        return [
            "nsenter", f"--net=/run/netns/{self.namespace(node)}", "unshare", "--uts", "--mount",
            "--time", f"--monotonic={self.ahead_s(node)}",
            "nsenter", "--time=/proc/self/ns/time_for_children",  # without a process of its own
            "sh", "-c", script, "sh", *command,
        ]  # fmt: skip


@contextmanager
def joined(nodes: Sequence[str], folder: Path) -> Iterator[Networks | None]:
    """The networks of the nodes, gone when the block ends; None where they cannot be made."""
    if os.getuid() != 0 or not shutil.which("ip"):
        yield None
        return
    networks = Networks(uuid.uuid4().hex[:6], free_subnet(), nodes, folder / "hosts")
    with ExitStack() as stack:
        stack.callback(remove, networks)
        try:
            make(networks)
        except subprocess.CalledProcessError:  # a container that may not
            yield None
            return
        yield networks


def make(networks: Networks) -> None:
    """Make all of them."""
    bridge = networks.bridge
    names = [LOGIN, *networks.nodes]
    lines = [f"{networks.address(name)} {name}" for name in names]
    networks.hosts.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")
    ip(f"link add {bridge} type bridge")
    ip(f"addr add {networks.address(LOGIN)}/24 dev {bridge}")
    ip(f"link set {bridge} up")
    for node in networks.nodes:
        space, outer = networks.namespace(node), f"{bridge}{node}"
        ip(f"netns add {space}")
        ip(f"link add {outer} type veth peer name eth0 netns {space}")
        ip(f"link set {outer} master {bridge} up")
        ip(f"-netns {space} addr add {networks.address(node)}/24 dev eth0")
        ip(f"-netns {space} link set eth0 up")
        ip(f"-netns {space} link set lo up")


def remove(networks: Networks) -> None:
    """Remove what is there of them, and end what still runs in them: a slurmstepd hides whose it
    is."""
    for node in networks.nodes:
        with suppress(FileNotFoundError):
            networks.end(node)
    for command in (
        *(f"netns del {networks.namespace(node)}" for node in networks.nodes),
        f"link del {networks.bridge}",
    ):
        with suppress(subprocess.CalledProcessError):
            ip(command)


def free_subnet() -> str:
    """A private one that no interface of this machine is in."""
    taken = subprocess.run(["ip", "-br", "addr"], capture_output=True, text=True, check=True).stdout
    return next(
        subnet for number in range(256) if (subnet := f"10.219.{number}") + "." not in taken
    )


def ip(arguments: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *arguments.split()], capture_output=True, check=True)
