"""Serves the engine flow under Docker until it is killed; its first line is the address."""

import sys
import time
from pathlib import Path

from er.compose import plan
from er.results.request import ServedModel
from er.server.kinds import serve

folder = Path(sys.argv[1])
[config] = plan(
    [
        "engine=trtllm",
        "server=container",
        "server.ready_timeout_s=60",
        "server.stop_timeout_s=10",
        "engine.container.runtime=docker",
        "deployment=e",
        "deployment.experts=1",
        f"engine.tritonserver={folder / 'tritonserver'}",
        f"engine.model_code={Path(__file__).parent / 'standins' / 'models'}",
        f"engine.checkpoint={folder / 'hf'}",
    ]
)
model = ServedModel("ensemble", "", 8, {"engine_dir": str(folder / "engine")}, 2)
with serve([model], config, folder / "run") as endpoints:
    print(endpoints[0].url, flush=True)
    time.sleep(300)
