"""Describe an error in a file of options: which file, which key, what to do."""

import difflib
import re
from pathlib import Path

import yaml
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from er.compose.keys import describe_unknown_key, is_list
from er.options import CONF

GIVE_A_LIST = "give a list, each item on a line of its own that begins with -"


def describe_file_error(error: BaseException, config_dir: Path | None) -> str:
    """The error in one line; empty when it is not an error in a file."""
    if isinstance(error, yaml.MarkedYAMLError):
        return _unreadable(error)
    if isinstance(error, MissingConfigException) and error.options:
        return _no_such_option(error, config_dir)
    text = str(error)
    named = re.match(r"In '([\w/.-]+)': ", text)
    if not named or named[1] == "config":
        return ""
    file = _file_of(named[1], config_dir)
    if "Could not override '" in text:
        return f"{file}: {_wrong_default(text)}"
    if "Key 'experiment' not in" in text:
        return f"{file}: its first line must be # @package _global_"
    if "Cannot merge DictConfig with ListConfig" in text:
        return f"{file}: {_no_list(file)}: {GIVE_A_LIST}"
    cause = error.__cause__ or error.__context__
    if not isinstance(cause, OmegaConfBaseException) or not cause.full_key:
        return ""
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        place = cause.full_key.rpartition(".")[0]
        names = getattr(cause.object_type, "__dataclass_fields__", {})
        known = [f"{place}.{name}".lstrip(".") for name in names]
        return f"{file}: {describe_unknown_key(cause.full_key, known)}"
    reason = str(cause.msg or cause).splitlines()[0]
    if "is not a ListConfig" in reason:
        reason = GIVE_A_LIST
    return f"{file}: {cause.full_key}: {reason}"


def _no_such_option(error: MissingConfigException, config_dir: Path | None) -> str:
    """The available options, the nearest one, and the user's file that names the missing one."""
    group, _, name = str(error.missing_cfg_file).removesuffix(".yaml").rpartition("/")
    if group.startswith("hydra/"):  # a missing plugin: er.compose.messages describes it
        return ""
    options = [option for option in error.options or () if not option.startswith("base_")]
    closest = difflib.get_close_matches(name, options, n=1)
    nearest = f"did you mean {closest[0]}? " if closest else ""
    files = config_dir.rglob("*.yaml") if config_dir else []
    source = next((path for path in files if _chooses(path, group, name)), None)
    where = f" (in {source})" if source else ""
    available = f"Available options in '{group}': {' '.join(options)}"
    return f"Could not find '{group}/{name}'{where}: {nearest}{available}"


def _chooses(path: Path, group: str, name: str) -> bool:
    """Whether a file has the option `name` of `group` in its defaults."""
    return bool(re.search(rf"\b{group}: *{name}\b", path.read_text(errors="replace")))


def _file_of(name: str, config_dir: Path | None) -> Path:
    """The path of an option such as site/mine, in the user's folder or in conf/."""
    own = config_dir / f"{name}.yaml" if config_dir else None
    return own if own and own.exists() else Path(CONF.name, f"{name}.yaml")


def _no_list(file: Path) -> str:
    """The key of a file that has names with values where a list belongs."""
    values = OmegaConf.to_container(OmegaConf.load(file))
    sections = values.items() if isinstance(values, dict) else ()
    keys = [f"{top!s}.{name}" for top, section in sections for name in _mappings_in(section)]
    return next(filter(is_list, keys), "a list")


def _mappings_in(section: object) -> list[str]:
    if not isinstance(section, dict):
        return []
    return [str(name) for name, value in section.items() if isinstance(value, dict)]


def _wrong_default(text: str) -> str:
    """Advice for an override in a defaults list that has nothing to override."""
    if re.search(r"override '[\w/]+@", text) and "Did you mean to override" in text:
        return "its first line must be # @package _global_"
    named = re.search(r"override '(?:[\w]+/)?(\w+)", text)
    group = named[1] if named else "GROUP"
    return f"write its default as - override /{group}: NAME, if there is such a group"


def _unreadable(error: yaml.MarkedYAMLError) -> str:
    """File and line of what is not YAML."""
    mark = error.problem_mark
    place = f"{mark.name}, line {mark.line + 1}" if mark else "a file of options"
    return f"{place}: this is not YAML: {error.problem}"
