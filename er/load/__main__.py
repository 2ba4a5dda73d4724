"""`python -m er.load target=URL load.concurrency=[1,10,100]`: the load generator by itself.

target is Triton's generate_stream or OpenAI's (chat/)completions; model names the model for the
latter. Everything else overrides the configuration.
Exit codes: 0 done, 1 something failed, 2 the request cannot be run, 130 Ctrl-C, 143 TERM.
"""

import signal
import subprocess
import sys
from types import FrameType
from urllib.parse import urlsplit

from er.config import Config
from er.errors import ConfigError, ErError
from er.load import alone
from er.results import Endpoint
from er.sweep import overrides_of, plan

PUBLISH = [sys.executable, "-m", "er.publish"]  # MLflow's seconds of start-up come last
OWN = ("target", "model")


def main() -> int:
    """Measure, and say what came out."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        endpoint, config = asked(sys.argv[1:])
        run = alone.create(endpoint, config)
        published = 0
        try:
            alone.drive(endpoint, config, run, lambda line: print(line, flush=True))
        finally:
            if config.tracking.enabled:  # it says itself what failed
                published = subprocess.run([*PUBLISH, str(run.path)], check=False).returncode
    except ConfigError as error:
        return _fail(error, 2)
    except ErError as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        return _fail("interrupted: what was measured is kept", 130)
    return 1 if published else 0


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
    url = urlsplit(own.get("target", ""))
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            "no target: say target=http://host:port/v2/models/NAME/generate_stream, "
            "or an address that ends with /v1/chat/completions"
        )
    configs = plan(*overrides_of(rest))
    if len(configs) > 1:
        raise ConfigError("one target takes one load: leave out -m and +experiment")
    return Endpoint(own["target"], own.get("model", "model")), configs[0]


def _fail(error: object, status: int) -> int:
    print(f"er.load: {error}", file=sys.stderr)
    return status


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
