"""Where Hydra searches for options: in `conf/`, then in the folder of --config-dir."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from er.errors import ConfigError
from er.options import CONF

HYDRA_VERSION = "1.3"  # whose defaults apply (`version_base`)
# Without `_self_` a file decides over its defaults, as with it at their end.
NO_SELF = ".*Defaults list is missing `_self_`"


class ConfigDir(SearchPathPlugin):
    """Adds the user's folder to Hydra's search path. Hydra makes one each time that it starts."""

    folder: Path | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder, so that options of `conf/` come first."""
        if self.folder:
            search_path.append("command-line", f"file://{self.folder}")


@contextmanager
def hydra_with(folder: Path | None) -> Iterator[ConfigLoaderImpl]:
    """Initialise Hydra for this block, with `conf/` and a user's folder.

    Raises ConfigError when `conf/` has a file of the same name as one of the folder.
    """
    Plugins.instance().register(ConfigDir)
    if folder:
        _refuse_hidden(folder)
    ConfigDir.folder = folder
    try:
        with (
            warnings.catch_warnings(),
            initialize_config_dir(str(CONF), version_base=HYDRA_VERSION),
        ):
            warnings.filterwarnings("ignore", NO_SELF, UserWarning)
            loader = GlobalHydra.instance().config_loader()
            assert isinstance(loader, ConfigLoaderImpl)
            yield loader
    finally:
        ConfigDir.folder = None


def groups_of(loader: ConfigLoaderImpl) -> list[str]:
    """The names of all groups of options, as `loader.list_groups("")`, which first copies all that
    Hydra has read."""
    found: list[str] = loader.repository.get_group_options("", ObjectType.GROUP)
    return found


def refuse_missing(override: Override) -> None:
    """Raise ConfigError for a folder of hydra.searchpath that does not exist."""
    places = override.value()
    for place in places if isinstance(places, list) else []:
        path = str(place).removeprefix("file://")
        if "://" not in path and not Path(path).is_dir():
            raise ConfigError(f"hydra.searchpath has {place}, which is not a folder")


def _refuse_hidden(folder: Path) -> None:
    """Raise ConfigError for a file that Hydra would not find behind one of `conf/`."""
    for path in [*folder.glob("*.yaml"), *folder.glob("*/*.yaml")]:
        name = path.relative_to(folder)
        if (CONF / name).exists():
            raise ConfigError(f"{path} would be hidden by conf/{name}: give it another name")
