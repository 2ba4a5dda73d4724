"""Start programs directly: er itself runs inside the container."""

from er.process.launch import Launch, assignments, mpirun, visible

PROGRAM = ""


def render(launch: Launch) -> list[str]:
    """The command line of the program itself."""
    return ["env", *assignments(visible(launch)), *mpirun(launch)]


def end(_: Launch) -> list[str]:
    """Empty: ending the process group ends everything."""
    return []
