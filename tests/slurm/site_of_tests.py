"""A real Slurm on this machine: munge, a controller and four nodes with eight fake GPUs each."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from leftovers import cleared_at_death
from networks import LOGIN, Networks, joined
from processes_of import end_all

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel", "scontrol")
NODES = ("n1", "n2", "n3", "n4")
SETTINGS = """
ClusterName=er
SlurmctldHost={controller}
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
DefMemPerCPU=1000
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=3600
KillWait=20
SlurmctldTimeout=10
SlurmdTimeout=120
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MailProg=/bin/true
"""
PARTITIONS = """
PartitionName=low Nodes=n[1-4] Default=YES PriorityTier=1 PreemptMode=REQUEUE MaxTime=1-00:00:00
PartitionName=high Nodes=n[1-4] PriorityTier=10 PreemptMode=OFF
PartitionName=gpu Nodes=n[1-4] MaxTime=8:00:00
PartitionName=batch Nodes=n[1-4] MaxTime=4:00:00
"""


@dataclass
class Site:
    """The Slurm of the tests."""

    folder: Path
    networks: Networks | None = None  # a network for each node; None: all share that of this host
    small_disk: Path | None = None  # a folder with little room
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """In which Slurm's programs find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *command: str) -> str:
        """What a program of Slurm prints."""
        done = subprocess.run(
            command,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        return done.stdout

    def end_jobs(self, folder: Path) -> None:
        """Kill the jobs that were submitted in a folder."""
        rows = self.call("squeue", "--noheader", "--format=%i %Z").splitlines()
        ids = [row.split()[0] for row in rows if row.split()[1] == str(folder)]
        for options in (["--signal=KILL", "--full"], []) if ids else ():
            with suppress(subprocess.CalledProcessError):  # one has ended meanwhile
                self.call("scancel", *options, *ids)

    def states(self) -> dict[str, str]:
        """Of every job, by its id; of one in two parts, of the first."""
        rows = self.call("squeue", "--noheader", "--states=all", "--format=%i %T").splitlines()
        return {job_id.removesuffix("+0"): state for job_id, state in map(str.split, rows)}

    def wait(self, job_id: str, *states: str, limit_s: float = 120) -> str:
        """The state of a job, once it is one of these."""
        deadline_s = time.monotonic() + limit_s
        while (state := self.states().get(job_id, "unknown")) not in states:
            if time.monotonic() > deadline_s:
                raise AssertionError(f"job {job_id} is {state}, not {states}")
            time.sleep(0.2)
        return state

    def start(self, name: str, command: list[str]) -> None:
        """Start one of its daemons."""
        log = (self.folder / f"{name}.out").open("wb")
        with log:
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | self.environment
            )

    def start_controller(self, *options: str) -> None:
        """Start it; without options it goes on from its saved state."""
        self.start("slurmctld", ["slurmctld", "-D", *options])
        self.until_ready("unknown")
        self.call("scontrol", "reconfigure")  # it asks the nodes at once, not in three seconds
        self.until_ready()

    def set(self, name: str, value: object) -> None:
        """Change one of its settings; the controller must not run."""
        path = self.folder / "slurm.conf"
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}=")]
        path.write_text("\n".join([*lines, f"{name}={value}"]) + "\n")

    def until_ready(self, *enough: str) -> None:
        """Return when the controller answers and all nodes are idle, at work or in such states."""
        deadline_s = time.monotonic() + 90
        while time.monotonic() < deadline_s:
            done = subprocess.run(
                ["sinfo", "--noheader", "--Node", "--partition=low", "--format=%T"],
                env=os.environ | self.environment,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            ready = ("idle", "mixed", "allocated", *enough)
            known = [line for line in done.stdout.split() if line in ready]
            if len(known) == len(NODES):
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "slurmctld.log").read_text()[-2000:] + done.stderr)

    def start_slurmd(self, node: str) -> None:
        """Start a node's daemon."""
        command = ["slurmd", "-D", "-N", node]
        self.start(node, self.networks.inside(node, command) if self.networks else command)

    def start_node(self, node: str) -> None:
        """Start a node's daemon, and return when the node takes jobs."""
        if self.networks:
            self.networks.join(node)
        self.start_slurmd(node)
        self.call("scontrol", "update", f"nodename={node}", "state=resume")
        self.until_ready()

    def kill_node(self, node: str, job_id: str, folder: str) -> None:
        """End a node without a word, and its job, whose processes name a folder.

        Its slurmstepd goes before them: it would tell the controller how they ended.
        """
        process = self.processes.pop(node)
        process.kill()
        process.wait()
        end_all(f"slurmstepd: [{job_id}.")
        end_all(folder)

    def kill_whole_node(self, node: str) -> None:
        """End a node that has a network of its own, and all that runs on it, without a word: those
        that it talked with are not told either."""
        assert self.networks
        self.networks.cut(node)
        self.networks.end(node)
        self.processes.pop(node).wait()

    def stop(self, name: str) -> None:
        """End one of its daemons, and return when it has ended."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(4)  # slurmd waits for jobs
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    """A Slurm in a folder of its own, of which nothing is left afterwards."""
    with ExitStack() as stack:
        site = Site(folder, stack.enter_context(joined(NODES, folder)))
        stack.enter_context(cleared_at_death(folder, site.networks))
        write(site)
        stack.callback(end_all, str(folder))
        try:
            start_munge(site)
            site.start("slurmctld", ["slurmctld", "-D", "-c"])
            for node in NODES:
                site.start_slurmd(node)
            site.until_ready()
            yield site
        finally:
            for name in reversed(list(site.processes)):
                site.stop(name)


def write(site: Site) -> None:
    """Its configuration."""
    folder = site.folder
    for name in ("state", "spool", "munge", "dev", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    port, *node_ports = free_ports(1 + len(NODES))
    user = psutil.Process().username()
    networks = site.networks
    controller = f"localhost({networks.address(LOGIN) if networks else '127.0.0.1'})"
    lines = [SETTINGS.format(controller=controller, port=port, user=user, folder=folder)]
    lines += [
        f"NodeName={node} NodeHostname={node if networks else 'localhost'} "
        f"NodeAddr={networks.address(node) if networks else '127.0.0.1'} Port={node_port} CPUs=64 "
        "Sockets=2 CoresPerSocket=32 ThreadsPerCore=1 RealMemory=512000 Gres=gpu:h100:8 "
        "Feature=nvlink"
        for node, node_port in zip(NODES, node_ports, strict=True)
    ]
    (folder / "slurm.conf").write_text("\n".join([*lines, PARTITIONS]))
    for number in range(8):  # with a device each, CUDA_VISIBLE_DEVICES is set as on a real node
        (folder / "dev" / f"nvidia{number}").symlink_to("/dev/null")
    gpus = f"AutoDetect=off\nName=gpu Type=h100 File={folder}/dev/nvidia[0-7]\n"
    (folder / "gres.conf").write_text(gpus)


def start_munge(site: Site) -> None:
    """Who is who."""
    folder = site.folder / "munge"
    key = folder / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    names = {"socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={folder / name}" for option, name in names.items()]
    site.start("munged", ["munged", "-F", "--force", f"--key-file={key}", *options])
    deadline_s = time.monotonic() + 60
    while not (folder / "sock").exists():
        assert time.monotonic() < deadline_s, (site.folder / "munged.out").read_text()
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody has."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
