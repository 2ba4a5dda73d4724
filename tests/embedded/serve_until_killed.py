"""Serves the echo model until it is killed; its first line of output is the endpoint's address."""

import sys
import time
from pathlib import Path

from er.config import Server
from er.results.request import ServedModel
from er.server.embedded import serve

MODEL = ServedModel("expert_0", "echo_model", 8, {"gap_s": "0.01", "crash": "no"})

with serve([MODEL], Server("embedded", 60, 15, 0, 0, 0), Path(sys.argv[1])) as endpoints:
    print(endpoints[0].url, flush=True)
    time.sleep(300)
