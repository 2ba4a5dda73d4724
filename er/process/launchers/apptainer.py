"""Start programs in Apptainer, without the user's home: its packages would hide the image's.

A `.sif` file is used as it is; an image of a registry is converted at every start.
"""

from er.process.launch import Launch, assignments, folders, mpirun, visible

PROGRAM = "apptainer"
NO_USER_PACKAGES = {"PYTHONNOUSERSITE": "1"}


def render(launch: Launch) -> list[str]:
    """The command line of `apptainer exec`."""
    line = ["apptainer", "exec", "--nv", "--cleanenv", "--no-home", "--pwd=/tmp"]
    line += [f"--bind={','.join(folders(launch))}"] if launch.mounts else []
    line += [f"--env={pair}" for pair in assignments(NO_USER_PACKAGES | visible(launch))]
    return [*line, image(launch.image), *mpirun(launch)]


def end(_: Launch) -> list[str]:
    """Empty: the container's processes are in the process group of its client."""
    return []


def image(name: str) -> str:
    """The image's name for Apptainer: that of a registry gets a scheme."""
    return name if name.endswith(".sif") or "://" in name else f"docker://{name}"
