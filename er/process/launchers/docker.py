"""Start programs in Docker, as the user of er, who then owns files and shares ports."""

import os

from er.process.launch import Launch, assignments, folders, mpirun

PROGRAM = "docker"
# The image does not know that user, so programs would not have these.
HOME = {"HOME": "/tmp", "USER": "er"}


def user() -> str:
    """UID:GID of this process."""
    return f"{os.getuid()}:{os.getgid()}"


def render(launch: Launch) -> list[str]:
    """The command line of `docker run`. The device list selects GPUs, and numbers them from 0."""
    line = ["docker", "run", f"--name={launch.name}", "--rm", "--init", f"--user={user()}"]
    line += ["--network=host", "--ipc=host", "--ulimit=memlock=-1", "--ulimit=stack=67108864"]
    line += [f"--cpuset-cpus={launch.cpu_list}"] if launch.cpu_list else []
    line += [f"--memory={launch.memory_bytes}"] if launch.memory_bytes else []
    line += [f'--gpus="device={",".join(map(str, launch.gpus))}"'] if launch.gpus else []
    line += [f"--volume={folder}:{folder}" for folder in folders(launch)]
    line += [f"--env={pair}" for pair in assignments(HOME | dict(launch.environment))]
    return [*line, launch.image, *mpirun(launch)]


def end(launch: Launch) -> list[str]:
    """Kill the container: if only its client ended, it would keep the GPU's memory."""
    return ["docker", "kill", launch.name]
