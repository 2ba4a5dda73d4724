"""A container of Apptainer, without the user's home: its Python packages would shadow the image's.

A `.sif` file is used as it is; a registry's name is converted again at every start.
"""

from er.process.launch import Launch, assignments, folders, mpirun, visible

PROGRAM = "apptainer"
NO_USER_PACKAGES = {"PYTHONNOUSERSITE": "1"}


def render(launch: Launch) -> list[str]:
    """`apptainer exec`."""
    line = ["apptainer", "exec", "--nv", "--cleanenv", "--no-home", "--pwd=/tmp"]
    line += [f"--bind={','.join(folders(launch))}"] if launch.mounts else []
    line += [f"--env={pair}" for pair in assignments(NO_USER_PACKAGES | visible(launch))]
    return [*line, image(launch.image), *mpirun(launch)]


def end(_: Launch) -> list[str]:
    """A container whose processes belong to this machine, in the process group of its client."""
    return []


def image(name: str) -> str:
    """A file stays a file; a registry's name gets its scheme."""
    return name if name.endswith(".sif") or "://" in name else f"docker://{name}"
