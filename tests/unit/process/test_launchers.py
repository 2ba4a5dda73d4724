"""Rules for every command line that starts TensorRT-LLM, with any launcher."""

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from er.config.trtllm import Runtime
from er.engine import in_container
from er.errors import ErError
from er.process import container, shared_memory
from er.process.launch import Launch, Mpi
from er.process.launchers import apptainer, docker, pyxis
from er.study import build_plan
from tests.contract import read_tools
from tests.unit.engine.launches import (
    DEPLOYMENTS,
    by,
    composed,
    every_config,
    every_engine,
    every_launch,
    launches_of,
)

TOOLS = json.loads(read_tools.FACTS.read_text())
INSIDE = (
    in_container.files, in_container.paths, in_container.version, in_container.cuda,
    in_container.mpi,
)  # fmt: skip


def preflights(runtime: Runtime) -> list[Launch]:
    """What preflight starts in the container of each flow, as it starts it."""
    found: list[Launch] = []

    def note(_: Runtime, launch: Launch) -> list[str]:
        found.append(launch)
        return ["true"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_container.container, "render", note)
        patch.setattr(in_container.container, "end", lambda *_: [])
        patch.setattr(in_container, "cache_dir", lambda _: Path("/cache"))
        for engine in ("trtllm", "llmapi"):
            request = build_plan.request_of(by(runtime, composed(engine, "e", "docker")))
            for look in INSIDE:
                with pytest.raises(ErError):  # "true" says nothing
                    look(request)
    return found


@cache
def lines(runtime: Runtime) -> list[tuple[Launch, list[str]]]:
    """All that is ever started by a launcher, with its command line."""
    launches = [*every_launch(runtime), *preflights(runtime)]
    launches += [replace(it, name=f"{it.name}-pinned", cpu_list="0-51") for it in launches]
    return [(launch, container.render(runtime, launch)) for launch in launches]


def test_every_deployment_and_every_engine_is_among_them() -> None:
    configs = every_config()
    assert {config.deployment.id for config in configs} == set(DEPLOYMENTS)
    assert all(any(config.engine == engine for config in configs) for engine in every_engine())
    per_runtime = {runtime: len(lines(runtime)) for runtime in Runtime}
    assert set(per_runtime.values()) == {
        2 * (len(list(every_launch(Runtime.docker))) + 2 * len(INSIDE))
    }


def options(line: list[str], program: str) -> list[str]:
    """The words between the launcher and the image or the command."""
    rest = line[line.index(program) + 1 :]
    first_word = next(at for at, word in enumerate(rest[1:], 1) if not word.startswith("-"))
    return rest[: first_word + (program in ("docker", "apptainer"))]


@pytest.mark.parametrize("runtime", Runtime)
def test_every_mpirun_leaves_its_ranks_unbound_and_may_be_roots(runtime: Runtime) -> None:
    found = 0
    for _, line in lines(runtime):
        if "mpirun" in line:
            words = " ".join(line[line.index("mpirun") :])
            assert "--bind-to none" in words
            assert "--allow-run-as-root" in words
            found += 1
    assert found


@pytest.mark.parametrize("runtime", Runtime)
def test_engines_of_several_ranks_are_one_mpi_world(runtime: Runtime) -> None:
    for launch, line in lines(runtime):
        if launch.tasks > 1:
            ranks = line[line.index("-n") + 1] if "mpirun" in line else ""
            assert ranks == str(launch.tasks) or f"--ntasks={launch.tasks}" in line


def test_every_srun_answers_for_mpi_cpus_memory_and_its_image() -> None:
    for launch, line in lines(Runtime.pyxis):
        given = dict(word.partition("=")[::2] for word in options(line, "srun"))
        assert given["--job-name"] == launch.name
        assert given["--mpi"] == ("none" if launch.mpi is Mpi.spawns else "pmix")
        assert ("mpirun" in line) == (launch.mpi is Mpi.spawns)
        assert int(given["--cpus-per-task"]) * int(given["--ntasks"]) == launch.cpus
        assert given["--mem"] == "0"
        assert given["--cpu-bind"] == given["--gpu-bind"] == "none"
        assert "#" in given["--container-image"]
        assert {"--no-container-entrypoint", "--no-container-mount-home", "--overlap"} <= set(given)
        of_pyxis = {name for name in given if "container" in name}
        assert of_pyxis <= {f"--{name}" for name in TOOLS["pyxis"]["options"]}


def test_an_image_of_a_file_is_given_as_it_is() -> None:
    for runtime, file in ((Runtime.pyxis, "/i/triton.sqsh"), (Runtime.apptainer, "/i/triton.sif")):
        config = by(runtime, composed("trtllm", "a", "docker"), image=file)
        for launch in launches_of(config):
            line = container.render(runtime, launch)
            assert file in line or f"--container-image={file}" in line


def words_of_tritonserver(line: Sequence[str]) -> set[str]:
    """Options that tritonserver gets, whoever starts it."""
    joined = " ".join(line)
    return set(re.findall(r"--([\w-]+)", joined[joined.index("/tritonserver ") :]))


@pytest.mark.parametrize("runtime", Runtime)
def test_tritonserver_has_only_options_of_its_version(runtime: Runtime) -> None:
    tags = {"25.05": "tritonserver of 25.05", "26.04": "tritonserver of 26.04"}
    found = set()
    for launch, line in lines(runtime):
        if any("/tritonserver" in word for word in launch.command[-1:] + launch.command[:2]):
            (tool,) = [tool for tag, tool in tags.items() if f":{tag}-" in launch.image]
            assert words_of_tritonserver(line) <= set(TOOLS[tool]["options"])
            found.add(tool)
    assert found == set(tags.values())


@pytest.mark.parametrize("runtime", Runtime)
def test_a_program_sees_the_gpus_of_its_ranks_and_no_others(runtime: Runtime) -> None:
    for launch, line in lines(runtime):
        listed = ",".join(map(str, launch.gpus))
        if runtime is Runtime.docker:
            devices = [word for word in line if word.startswith("--gpus=")]
            assert devices == ([f'--gpus="device={listed}"'] if listed else [])
        else:
            assert f"CUDA_VISIBLE_DEVICES={listed}" in " ".join(line)
        if launch.mpi is Mpi.ranks and launch.gpus:
            assert launch.tasks == len(launch.gpus)
        if "-preflight" not in launch.name:  # of which few commands look at a GPU
            assert launch.gpus


@pytest.mark.parametrize("runtime", [Runtime.docker, Runtime.pyxis, Runtime.apptainer])
def test_options_are_single_words(runtime: Runtime) -> None:
    """A bare option may take the next word for its value."""
    program = container.program(runtime)
    flags = {"--rm", "--init", "--nv", "--cleanenv", "--no-home", "--overlap"}
    flags |= {"--no-container-entrypoint", "--no-container-mount-home"}
    for _, line in lines(runtime):
        for word in options(line, program):
            known = word in flags or "=" in word or word in ("run", "exec")
            assert not word.startswith("--") or known, word


def test_docker_has_the_user_a_home_and_a_name() -> None:
    for launch, line in lines(Runtime.docker):
        assert f"--user={docker.user()}" in line
        assert f"--name={launch.name}" in line
        assert {"--env=HOME=/tmp", "--env=USER=er"} <= set(line)


def test_apptainer_sees_nothing_of_the_users_home() -> None:
    for _, line in lines(Runtime.apptainer):
        assert {"--no-home", "--env=PYTHONNOUSERSITE=1"} <= set(line)
        given = {word.partition("=")[0] for word in options(line, "apptainer")} - {"exec"}
        known = {f"--{name}" for name in TOOLS["apptainer exec"]["options"]}
        assert {word for word in given if word.startswith("--")} <= known


@pytest.mark.parametrize("runtime", Runtime)
def test_every_launch_has_a_name_of_its_own_and_a_way_to_end_it(runtime: Runtime) -> None:
    launches = [launch for launch, _ in lines(runtime)]
    assert len({launch.name for launch in launches}) == len(launches)
    outside = runtime in (Runtime.docker, Runtime.pyxis)  # its processes are not of our group
    for launch in launches:
        end = " ".join(container.end(runtime, launch))
        assert (launch.name in end) == outside


@pytest.mark.parametrize("runtime", [Runtime.docker, Runtime.apptainer, Runtime.pyxis])
def test_relative_folders_reach_a_launcher_as_absolute_ones(runtime: Runtime) -> None:
    launch = Launch("it", ("true",), Path("log"), mounts=(Path("engines/it"),))
    folder = str(Path.cwd() / "engines/it")
    (bound,) = [part for part in container.render(runtime, launch) if "engines/it" in part]
    assert bound.partition("=")[2] in (folder, f"{folder}:{folder}")


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("nvcr.io/nvidia/tritonserver:25.05", "nvcr.io#nvidia/tritonserver:25.05"),
        ("host:5000/triton:1", "host:5000#triton:1"),
        ("nvcr.io#nvidia/tritonserver:25.05", "nvcr.io#nvidia/tritonserver:25.05"),
        ("/images/triton.sqsh", "/images/triton.sqsh"),
        ("nvidia/tritonserver:1", "nvidia/tritonserver:1"),  # of the default registry
    ],
)
def test_enroot_is_told_where_the_registry_ends(name: str, given: str) -> None:
    assert pyxis.image(name) == given


def test_apptainer_is_told_what_is_a_registrys() -> None:
    assert apptainer.image("nvcr.io/triton:1") == "docker://nvcr.io/triton:1"
    assert apptainer.image("/images/triton.sif") == "/images/triton.sif"


@pytest.mark.parametrize("variable", ["OMPI_COMM_WORLD_RANK", "SLURM_PROCID"])
def test_the_first_rank_leads_and_each_has_shared_memory_of_its_own(variable: str) -> None:
    config = composed("trtllm", "a", "docker", "engine.tritonserver=echo")
    (launch,) = launches_of(config)
    output = [
        subprocess.run(
            launch.command, env={variable: str(rank)}, capture_output=True, text=True, check=True
        ).stdout
        for rank in range(4)
    ]
    assert ["--http-port=8000" in line for line in output] == [True, False, False, False]
    assert ["--load-model=tensorrt_llm" in line for line in output] == [False, True, True, True]
    for rank, line in enumerate(output):
        assert f"shm-region-prefix-name={shared_memory.prefix('8000')}{rank}_ " in line


def test_a_step_on_another_node_names_it() -> None:
    launch = Launch("it", ("true",), Path("log"), node="n2", tasks=2, mpi=Mpi.ranks, cpus=16)
    line = container.render(Runtime.pyxis, launch)
    assert {"--nodelist=n2", "--ntasks=2", "--cpus-per-task=8"} <= set(line)


def test_a_container_keeps_to_its_cpus() -> None:
    launch = Launch("x", ("serve",), Path("log"), cpu_list="0-51", image="image")

    assert "--cpuset-cpus=0-51" in docker.render(launch)
    line = pyxis.render(launch)
    assert line[line.index("taskset") :][:4] == ["taskset", "--cpu-list", "0-51", "env"]
    assert "taskset" not in pyxis.render(Launch("x", ("serve",), Path("log")))
