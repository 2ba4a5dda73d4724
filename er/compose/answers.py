"""Options that Hydra answers itself: --cfg, --info, shell completion and its own help."""

import os
import sys
from contextlib import redirect_stderr
from io import StringIO

import hydra

from er.compose.messages import checked
from er.compose.schema import register_schema
from er.compose.search_path import HYDRA_VERSION
from er.errors import ConfigError
from er.options import CONF, Arguments


def show(arguments: Arguments) -> None:
    """Let Hydra print its answer to `arguments.for_hydra`. Raises ConfigError when it fails."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors instead of printing them
    register_schema()
    folder = [f"--config-dir={arguments.config_dir}"] if arguments.config_dir else []
    sys.argv[1:] = [*arguments.for_hydra, *folder, *arguments.overrides]
    with checked(arguments.config_dir), redirect_stderr(StringIO()) as printed:
        try:
            hydra.main(str(CONF), arguments.config_name, HYDRA_VERSION)(lambda _: None)()
        except SystemExit as ended:  # Hydra has printed what is wrong
            if not ended.code:
                raise
            raise ConfigError(" ".join(printed.getvalue().split())) from ended
