"""`python -m er.server.node SHARE`: serve a share of the models until standard input ends."""

import json
import pickle
import shutil
import socket
import sys
from dataclasses import asdict
from pathlib import Path

from er import cli
from er.process import nodes
from er.server import kinds
from er.server.spread import READY, Share


def main() -> int:
    """Serve; return 1 after an error, which is printed in one line."""
    return cli.run("er.server.node", lambda: serve(Path(sys.argv[1])))


def serve(plan: Path) -> None:
    """Serve the share that `er.server.spread` wrote to a file; print the endpoints in one line.

    Raises ErError when a server cannot be started.
    """
    share: Share = pickle.loads(plan.read_bytes())
    for folder in ("model_repository", "backends"):  # of an earlier command on the same run
        shutil.rmtree(share.folder / folder, ignore_errors=True)
    host = socket.gethostname()
    nodes.reach_directly(host)
    with kinds.started(share.models, share.config, share.folder, host) as endpoints:
        print(READY, share.token, json.dumps(list(map(asdict, endpoints))), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    sys.exit(main())
