"""The schema of `conf/`: what can be chosen, checked once, before anything starts.

Values live in `conf/`; these classes hold names, types and rules. Fields without a default are
mandatory in YAML. `compose` in `er.compose` turns YAML into a `Config`.
"""

from er.config.capacity import Capacity
from er.config.checks import require, require_folder, require_port, require_positive
from er.config.cluster import Cluster, GpusBy, LaptopCluster, SlurmCluster
from er.config.deployment import Deployment, Hardware, Model, Precision
from er.config.engine import (
    Correction,
    Engine,
    SchedulerPolicy,
    SimulatedEngine,
    SmolLM2Engine,
    require_kind,
)
from er.config.gateway import FastGateway, Gateway, GatewayLimits, GatewayTimeouts
from er.config.load import Arrivals, Load, LoadClient
from er.config.routing import Corpus, Policy, Routing
from er.config.run import Clock, ClockKind, Config, Failure, Tracking
from er.config.serving import Server
from er.config.workload import (
    FixedWorkload,
    JsonlWorkload,
    Lengths,
    Lognormal,
    LognormalWorkload,
    MultiTurnWorkload,
    Range,
    SharedPrefixWorkload,
    Table,
    TableWorkload,
    UniformWorkload,
    Workload,
)

__all__ = [
    "Arrivals",
    "Capacity",
    "Clock",
    "ClockKind",
    "Cluster",
    "Config",
    "Corpus",
    "Correction",
    "Deployment",
    "Engine",
    "Failure",
    "FastGateway",
    "FixedWorkload",
    "Gateway",
    "GatewayLimits",
    "GatewayTimeouts",
    "GpusBy",
    "Hardware",
    "JsonlWorkload",
    "LaptopCluster",
    "Lengths",
    "Load",
    "LoadClient",
    "Lognormal",
    "LognormalWorkload",
    "Model",
    "MultiTurnWorkload",
    "Policy",
    "Precision",
    "Range",
    "Routing",
    "SchedulerPolicy",
    "Server",
    "SharedPrefixWorkload",
    "SimulatedEngine",
    "SlurmCluster",
    "SmolLM2Engine",
    "Table",
    "TableWorkload",
    "Tracking",
    "UniformWorkload",
    "Workload",
    "require",
    "require_folder",
    "require_kind",
    "require_port",
    "require_positive",
]
