"""`python -m er.load target=URL load.concurrency=[1,10,100]`: the load generator by itself.

target is Triton's generate_stream, Triton's gRPC as grpc://host:port/MODEL (grpcs:// with TLS), or
OpenAI's (chat/)completions, where model names the model. Everything else overrides the
configuration.
Exit codes: 0 done, 1 something failed, 2 the request cannot be run, 130 Ctrl-C, 143 TERM.
"""

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from er.compose import overrides_of, plan
from er.config import Config
from er.errors import ConfigError, ErError
from er.load import alone
from er.load.users import require_speaks
from er.results.request import Endpoint

# In processes of their own: MLflow's seconds of start-up and its memory come last.
PUBLISH = [sys.executable, "-m", "er.publish"]
DRAW = [sys.executable, "-m", "paper_figures.load"]
OWN = ("target", "model")


def main() -> int:
    """Measure, and say what came out."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    signal.signal(signal.SIGTERM, _terminate)
    try:
        endpoint, config = asked(sys.argv[1:])
        run = alone.create(endpoint, config)
        failed = False
        try:
            alone.drive(endpoint, config, run, lambda line: print(line, flush=True))
        finally:
            if config.tracking.enabled:
                failed = _fails([*PUBLISH, str(run.path)])
        if config.tracking.enabled and not failed:
            figures = Path(config.runs_dir) / "figures"
            failed = _fails([*DRAW, f"uri={config.tracking.uri}", f"out={figures}"])
    except ConfigError as error:
        return _fail(error, 2)
    except ErError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted: what was measured is kept", 130)
    return 1 if failed else 0


def asked(arguments: list[str]) -> tuple[Endpoint, Config]:
    """What the command line asks for. Raises ConfigError when it cannot be run."""
    own: dict[str, str] = {}
    rest = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in OWN:
            own[key] = value
        else:
            rest.append(argument)
    endpoint = _endpoint(own.get("target", ""), own.get("model", "model"))
    if endpoint.grpc_address:
        rest = ["load.client=grpc", *rest]
    configs = plan(*overrides_of(rest))
    if len(configs) > 1:
        raise ConfigError("one target takes one load: leave out -m and +experiment")
    require_speaks(endpoint, configs[0].load.client)
    return endpoint, configs[0]


def _endpoint(target: str, model: str) -> Endpoint:
    """The server that is meant. Raises ConfigError when that cannot be told."""
    url = urlsplit(target)
    if url.hostname and url.scheme in ("http", "https"):
        return Endpoint(target, model)
    if url.hostname and url.scheme in ("grpc", "grpcs") and url.path.strip("/"):
        return Endpoint(target, url.path.strip("/"), grpc_address=url.netloc)
    raise ConfigError(
        "no target: say target=http://host:port/v2/models/NAME/generate_stream, "
        "grpc://host:port/NAME, or an address that ends with /v1/chat/completions"
    )


def _fails(command: list[str]) -> bool:
    """Whether a command, which says itself what went wrong, did not do its work."""
    return subprocess.run(command, check=False).returncode != 0


def _fail(error: object, status: int) -> int:
    print(f"er.load: {error}", file=sys.stderr)
    return status


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
