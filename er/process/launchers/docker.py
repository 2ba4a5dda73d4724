"""A container of Docker, as the user who runs er: files and shared ports must be theirs."""

import os

from er.process.launch import Launch, assignments, folders, mpirun

PROGRAM = "docker"
# The image has no entry for that user, from which programs would have these.
HOME = {"HOME": "/tmp", "USER": "er"}


def user() -> str:
    """UID:GID of this process."""
    return f"{os.getuid()}:{os.getgid()}"


def render(launch: Launch) -> list[str]:
    """`docker run`. The device list decides which GPUs are visible, and numbers them from 0."""
    line = ["docker", "run", f"--name={launch.name}", "--rm", "--init", f"--user={user()}"]
    line += ["--network=host", "--ipc=host", "--ulimit=memlock=-1", "--ulimit=stack=67108864"]
    line += [f"--cpuset-cpus={launch.cpu_list}"] if launch.cpu_list else []
    line += [f"--memory={launch.memory_bytes}"] if launch.memory_bytes else []
    line += [f'--gpus="device={",".join(map(str, launch.gpus))}"'] if launch.gpus else []
    line += [f"--volume={folder}:{folder}" for folder in folders(launch)]
    line += [f"--env={pair}" for pair in assignments(HOME | dict(launch.environment))]
    return [*line, launch.image, *mpirun(launch)]


def end(launch: Launch) -> list[str]:
    """Killing only Docker's client would leave the container, which holds the GPU's memory."""
    return ["docker", "kill", launch.name]
