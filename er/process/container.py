"""Command lines that run a program inside the TensorRT-LLM container, or without one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from er.config.trtllm import Container, Runtime

PROGRAM = {
    Runtime.docker: "docker",
    Runtime.apptainer: "apptainer",
    Runtime.pyxis: "srun",
}


def inside(
    container: Container,
    command: Sequence[str],
    *,
    binds: Sequence[Path],
    gpus: Sequence[int],
    env: Mapping[str, str],
) -> list[str]:
    """`command` in the container: folders bound under their own names, only `gpus` visible."""
    # Docker takes a relative folder for the name of a volume.
    folders = [str(path.absolute()) for path in binds]
    variables = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus)), **env}
    match container.runtime:
        case Runtime.bare:
            return ["env", *assignments(variables), *command]
        case Runtime.docker:
            # The device list decides what is visible, and numbers it from 0.
            shown = [f"--env={pair}" for pair in assignments(env)]
            volumes = [f"--volume={folder}:{folder}" for folder in folders]
            devices = ",".join(map(str, gpus))
            start = ["docker", "run", "--rm", "--init", "--network=host", "--ipc=host"]
            start += ["--ulimit=memlock=-1", "--ulimit=stack=67108864"]
            return [
                *start, f'--gpus="device={devices}"', *volumes, *shown, container.image, *command
            ]  # fmt: skip
        case Runtime.apptainer:
            shown = [f"--env={pair}" for pair in assignments(variables)]
            start = ["apptainer", "exec", "--nv", "--cleanenv", f"--bind={','.join(folders)}"]
            return [*start, *shown, apptainer_image(container.image), *command]
        case Runtime.pyxis:
            mounts = ",".join(f"{folder}:{folder}" for folder in folders)
            start = ["srun", "--ntasks=1", "--overlap", f"--container-image={container.image}"]
            start += [f"--container-mounts={mounts}"]
            return [*start, "env", *assignments(variables), *command]


def with_links(folder: Path) -> list[Path]:
    """A folder and the folders its links lead to, as those of a Hugging Face hub cache do."""
    if not folder.is_dir():
        return [folder]
    targets = {path.resolve().parent for path in folder.iterdir() if path.is_symlink()}
    return [folder, *sorted(targets - {folder.resolve()})]


def apptainer_image(image: str) -> str:
    """A file stays a file; a registry's name is told to be one."""
    return image if image.endswith(".sif") or "://" in image else f"docker://{image}"


def assignments(variables: Mapping[str, str]) -> list[str]:
    """NAME=VALUE for each."""
    return [f"{name}={value}" for name, value in variables.items()]
