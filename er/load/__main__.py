"""`python -m er.load target=URL 'load.concurrency=[1,10,100]'`: the load generator by itself.

Exit codes: those of er.cli.
"""

import sys

from er import cli
from er.load import credentials
from er.process import address_space

ADDRESS_SPACE_GB = 2  # NumPy, SciPy and a few threads map 1.3 GB


def main() -> int:
    """Measure, and print the results."""
    credentials.hide_password(sys.argv)
    return cli.run("er.load", run, "what was measured is kept")


def run() -> int:
    """Run the command line; return the exit code. Raises ErError when it cannot be done."""
    address_space.require(ADDRESS_SPACE_GB, "the load generator needs")
    from er.load import command  # here: with too little, its imports end in the middle of a library

    return command.run_command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
