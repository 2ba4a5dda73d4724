"""A step of the Slurm job that er runs in, in a container of Enroot by its plugin pyxis.

Every option is `--name=value`: newer versions of srun take the word after a bare `--cpu-bind`.
"""

from er.process import nodes
from er.process.launch import Launch, Mpi, assignments, folders, mpirun, visible

PROGRAM = "srun"


def render(launch: Launch) -> list[str]:
    """`srun`. GPUs are given by their numbers, among all that the job has.

    Since Slurm 22.05 a step has one CPU a task by default, and a number makes the step exact;
    without `--mem` the first step would take all memory of the job.
    """
    line = ["srun", f"--job-name={launch.name}", "--overlap", "--nodes=1"]
    line += [f"--nodelist={launch.node}"] if launch.node else []
    line += [f"--ntasks={ranks(launch)}", f"--mpi={mpi(launch)}", "--kill-on-bad-exit=1"]
    line += ["--cpu-bind=none", f"--cpus-per-task={max(1, launch.cpus // ranks(launch))}"]
    line += [f"--mem={launch.memory_bytes // 2**20}M" if launch.memory_bytes else "--mem=0"]
    line += ["--gpu-bind=none", "--no-container-entrypoint", "--no-container-mount-home"]
    line += [f"--container-image={image(launch.image)}"]
    mounts = ",".join(f"{folder}:{folder}" for folder in folders(launch))
    line += [f"--container-mounts={mounts}"] if mounts else []
    # A program that spawns ranks has an mpirun of its own inside the step.
    inner = mpirun(launch) if launch.mpi is Mpi.spawns else list(launch.command)
    line += ["taskset", "--cpu-list", launch.cpu_list] if launch.cpu_list else []
    return [*line, "env", *assignments({"PYTHONNOUSERSITE": "1"} | visible(launch)), *inner]


def end(launch: Launch) -> list[str]:
    """Killing only srun would leave the step, which holds the GPU's memory."""
    return nodes.end_step(launch.name)


def ranks(launch: Launch) -> int:
    """Tasks that Slurm starts."""
    return 1 if launch.mpi is Mpi.spawns else launch.tasks


def mpi(launch: Launch) -> str:
    """Without PMIx, or its like, a process that initialises MPI under srun aborts."""
    return "none" if launch.mpi is Mpi.spawns else launch.pmi


def image(name: str) -> str:
    """Up to version 3.5 Enroot wants `#` between registry and path; a file stays a file."""
    registry, slash, path = name.partition("/")
    if name.endswith(".sqsh") or "#" in name or not slash or not {".", ":"} & set(registry):
        return name
    return f"{registry}#{path}"
