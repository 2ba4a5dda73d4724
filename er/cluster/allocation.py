"""The allocation that this process runs in, if any."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from er.cluster.calls import call
from er.config import Config, SlurmCluster
from er.process import nodes

NODE_TIMEOUT_S = 15


def until_s(config: Config) -> float:
    """The Unix time by which a job must have ended its last point; infinite where nothing ends it.

    Raises ErError when Slurm does not tell.
    """
    job_id = os.environ.get("SLURM_JOB_ID")
    if not job_id or not isinstance(config.cluster, SlurmCluster):
        return float("inf")
    return end_s(job_id, config.cluster) - config.cluster.stop_before_s


def end_s(job_id: str, cluster: SlurmCluster) -> float:
    """The Unix time at which Slurm ends a job: newer versions say it in the environment."""
    told = os.environ.get("SLURM_JOB_END_TIME", "")
    if told.isdigit():
        return float(told)
    command = ["squeue", "--noheader", f"--jobs={job_id}", "--format=%e"]
    text = call(command, cluster.answer_timeout_s).strip()
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:  # a job without a limit has no end
        return float("inf")


def finish_requests_s(config: Config) -> float:
    """How long requests in flight may go on after TERM; 0 where no batch system sends it."""
    if "SLURM_JOB_ID" in os.environ and isinstance(config.cluster, SlurmCluster):
        return config.cluster.finish_requests_s
    return 0.0


def lost_nodes(config: Config) -> list[str]:
    """The further nodes of this job on which nothing can be started any more; asked at once, when
    the job has failed: Slurm itself notices minutes later."""
    names = [*nodes.further(config.cluster), *nodes.of_load(config.cluster)]
    if not names:
        return []

    with ThreadPoolExecutor(len(names)) as pool:
        answered = list(pool.map(lambda name: nodes.answers(name, NODE_TIMEOUT_S), names))
    return [name for name, there in zip(names, answered, strict=True) if not there]


def restarted() -> bool:
    """Whether Slurm has begun this job anew, after preemption or the failure of a node."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
