"""Start programs as steps of the Slurm job, in containers of Enroot through the plugin pyxis.

Every option is written as `--name=value`: newer versions of srun would take the word after a bare
`--cpu-bind` as its value.
"""

from er.process import nodes
from er.process.launch import Launch, Mpi, assignments, folders, mpirun, visible

PROGRAM = "srun"


def render(launch: Launch) -> list[str]:
    """The command line of `srun`. GPUs are given by their numbers among those of the job.

    Since Slurm 22.05 a step has one CPU for each task by default. Without `--mem`, the first step
    would take all memory of the job.
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
    # A program that spawns ranks needs an mpirun of its own inside the step.
    inner = mpirun(launch) if launch.mpi is Mpi.spawns else list(launch.command)
    line += ["taskset", "--cpu-list", launch.cpu_list] if launch.cpu_list else []
    return [*line, "env", *assignments({"PYTHONNOUSERSITE": "1"} | visible(launch)), *inner]


def end(launch: Launch) -> list[str]:
    """Kill the step: if only srun ended, it would keep the GPU's memory."""
    return nodes.end_step(launch.name)


def ranks(launch: Launch) -> int:
    """Number of tasks that Slurm starts."""
    return 1 if launch.mpi is Mpi.spawns else launch.tasks


def mpi(launch: Launch) -> str:
    """The kind of MPI for srun; without PMIx or the like, programs that initialise MPI abort."""
    return "none" if launch.mpi is Mpi.spawns else launch.pmi


def image(name: str) -> str:
    """The image's name for Enroot, which up to version 3.5 needs `#` between registry and path."""
    registry, slash, path = name.partition("/")
    if name.endswith(".sqsh") or "#" in name or not slash or not {".", ":"} & set(registry):
        return name
    return f"{registry}#{path}"
