"""Describe errors of Hydra and omegaconf in one line, in the terms of the command line."""

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from hydra.errors import HydraException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from er.compose.file_messages import describe_file_error
from er.compose.keys import describe_unknown_key, is_list
from er.errors import ConfigError

# Examples for messages about keys that take a list, or names with values.
LISTS = {
    "clock.failures": "[{expert:0,at_s:10}]",
    "figures": "[fig4]",
    "load.concurrency": "[1,2,4]",
    "routing.shares": "[1,2]",
}
OF_MAPPINGS = ("clock.failures",)  # lists whose items are names with values
TABLES = {
    "load.headers": "{x-api-key: VARIABLE}",
    "load.trace_columns": "{time: ..., input_tokens: ..., output_tokens: ...}",
}
KINDS = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, ArithmeticError)


@contextmanager
def checked(config_dir: Path | None = None) -> Iterator[None]:
    """Turn errors of Hydra, omegaconf and YAML in this block into ConfigError.

    `config_dir` is the user's folder of options, if there is one.
    """
    try:
        yield
    except KINDS as error:
        raise ConfigError(describe_file_error(error, config_dir) or one_line(error)) from error


def one_line(error: BaseException) -> str:
    """One line for an error of Hydra or omegaconf, whose message has several."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override), text.splitlines()[0])
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: a file of conf/ or the command line must give it"
    cause = error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        place = cause.full_key.rpartition(".")[0]
        fields = getattr(cause.object_type, "__dataclass_fields__", {})
        return describe_unknown_key(
            cause.full_key, [f"{place}.{name}".lstrip(".") for name in fields]
        )
    if isinstance(cause, OmegaConfBaseException):
        reason = cause.msg.splitlines()[0] if cause.msg else ""
        text = " ".join(text.removeprefix("Error merging override ").split()).removeprefix("++")
        key = text.partition("=")[0]
        if key in TABLES:
            reason = f"give names and values such as {TABLES[key]}"
        elif "ListConfig" in reason:
            example = LISTS.get(key, "")
            such_as = f" such as {example}" if example else ""
            items = text.partition("=")[2].split(",")
            shown = f'"{key}={example}"' if key in OF_MAPPINGS else typed_list(key, items)
            reason = f"give a list{such_as}, typed as {shown}"
        return f"{text}: {reason}"
    plugin = re.search(r"hydra/(launcher|sweeper)/(\w+)", text)
    if plugin:
        return f"hydra/{plugin[1]}={plugin[2]} is not installed: pip install 'er[joblib,optuna]'"
    text = text.split("Config search path:")[0].removeprefix("In 'config': ")
    lines = [line.strip() for line in text.splitlines()]
    noise = ("object_type=", "reference_type=", "full_key:", "See https://")
    text = " ".join(line for line in lines if line and not line.startswith(noise))
    return re.sub(r"\bbase_\w+ ", "", text)  # schemas, which are not options


def _unreadable(override: str, reason: str) -> str:
    """Message for an override that Hydra cannot parse, with a quoted form that it can."""
    key, equals, value = override.partition("=")
    if value.startswith("[") and not value.endswith("]"):
        reason += f': a list with spaces is typed in quotes, "{key}=[...]"'
    elif value.startswith("[") and not set(value[1:-1]) & set("[]{}'\""):
        shown = typed_list(key, value[1:-1].split(","))
        return f"cannot read {override} (expected key=value): quote the items: {shown}"
    if not equals or not value or value[0] in "[{'\"":
        return f"cannot read {override} (expected key=value): {reason}"
    if is_list(key):
        return (
            f"cannot read {override}: it takes a list, typed as {typed_list(key, value.split(','))}"
        )
    typed = _as_shell_takes_it(f"{key}={_quoted(value)}")
    return f"cannot read {override} (expected key=value): quote the value, such as {typed}"


def typed_list(key: str, items: Sequence[str]) -> str:
    """A list of these items as it is typed in a shell."""
    plain = [item.strip().strip("'\"") for item in items]
    quoted = [item if re.fullmatch(r"[\w.]+", item) else _quoted(item) for item in plain]
    return _as_shell_takes_it(f"{key}=[{','.join(quoted)}]")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _as_shell_takes_it(argument: str) -> str:
    return shlex.quote(argument) if set(argument) & set('"$`\\!') else f'"{argument}"'
