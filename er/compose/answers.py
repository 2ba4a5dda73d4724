"""What Hydra itself answers: --cfg, --info, shell completion and its own help."""

import os
import sys
from contextlib import redirect_stderr
from io import StringIO

import hydra

from er.compose.messages import checked
from er.compose.schema import register_schema
from er.errors import ConfigError
from er.options import CONF, Arguments


def show(arguments: Arguments) -> None:
    """Let Hydra answer. Raises ConfigError when it cannot."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of being printed over a page
    register_schema()
    folder = [f"--config-dir={arguments.config_dir}"] if arguments.config_dir else []
    sys.argv[1:] = [*arguments.for_hydra, *folder, *arguments.overrides]
    with checked(arguments.config_dir), redirect_stderr(StringIO()) as printed:
        try:
            hydra.main(str(CONF), arguments.config_name, "1.3")(lambda _: None)()
        except SystemExit as ended:  # it has printed what is wrong
            if not ended.code:
                raise
            raise ConfigError(" ".join(printed.getvalue().split())) from ended
