"""`python -m er.server.prove URL MODEL MAX_TOKENS`: check that a model answers this node."""

import sys

from er.errors import ErError
from er.results.request import Endpoint
from er.server.embedded import prove


def main() -> int:
    """Send an inference; return 1, with the reason as the last line, when it fails."""
    url, model, max_tokens = sys.argv[1:]
    try:
        prove(Endpoint(url, model), int(max_tokens))
    except ErError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
