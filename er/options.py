"""Parse a command line with Hydra's overrides, and write the help text that lists its options."""

import argparse
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from omegaconf import OmegaConf

from er.cli import EXIT_CODES, Parser
from er.config import Config
from er.errors import ConfigError

CONF = Path(__file__).parent / "conf"
WIDTH = 100  # characters of a line of help
CFG = ("job", "hydra", "all")
# Sections whose keys the user chooses: Hydra adds new keys only with ++.
MAPS = re.compile(r"(load\.headers|load\.trace_columns)[.=]")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class Word:
    """An argument NAME=VALUE of the command itself, which is not a key of the configuration."""

    name: str
    default: str
    about: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command that takes overrides, as its help describes it."""

    name: str
    about: str
    examples: str
    words: tuple[Word, ...] = ()
    groups: tuple[str, ...] = ()  # groups of `conf/` that matter to the command; empty: all


@dataclass(frozen=True)
class Arguments:
    """A parsed command line."""

    overrides: tuple[str, ...] = ()
    multirun: bool = False
    config_dir: Path | None = None  # folder of the user's own options
    config_name: str = "config"
    for_hydra: tuple[str, ...] = ()  # options, such as --cfg, that Hydra answers by itself
    words: Mapping[str, str] = field(default_factory=dict)  # values of the command's own arguments


def parse_arguments(command: Command, arguments: Sequence[str]) -> Arguments:
    """Parse a command line. With --help, print the help and raise SystemExit.

    Raises ConfigError for an unknown option and for a value that is not one of the choices.
    """
    options, rest = _parser().parse_known_args(arguments)
    for argument in rest:
        if argument.startswith("-"):
            raise ConfigError(f"{argument} is not known: give key=value, -m or --help")
    config_dir = _folder(options.config_dir)
    if options.help:
        print(help_text(command, [CONF, config_dir] if config_dir else [CONF]))
        raise SystemExit(0)
    words = {word.name: word.default for word in command.words}
    overrides = []
    for argument in rest:
        name, equals, value = argument.partition("=")
        if equals and name in words:
            words[name] = value
        else:
            overrides.append(f"++{argument}" if MAPS.match(argument) else argument)
    for word in command.words:
        if word.choices and words[word.name] not in word.choices:
            choices = ", ".join(word.choices)
            raise ConfigError(f"{word.name} is {words[word.name]}: choose from {choices}")
    return Arguments(
        tuple(overrides),
        options.multirun,
        config_dir,
        options.config_name,
        _for_hydra(options),
        words,
    )


def help_text(command: Command, folders: Sequence[Path]) -> str:
    """Usage, arguments and options of a command, and every group of `folders` with its options."""
    groups = command.groups or sorted({field.name for field in fields(Config)} - {"experiment"})
    defaults = default_options(CONF)
    own = " ".join(f"[{word.name}={word.default or '...'}]" for word in command.words)
    usage = f"python -m {command.name} [-m] {own} [GROUP=OPTION ...] [KEY=VALUE ...]"
    lines = [re.sub(" +", " ", usage), "", *textwrap.wrap(command.about, WIDTH), ""]
    lines += [textwrap.indent(textwrap.dedent(command.examples).strip(), "  "), ""]
    for word in command.words:
        choices = f" ({', '.join(word.choices)})" if word.choices else ""
        default = f"; default: {word.default}" if word.default else ""
        about = textwrap.wrap(f"{word.about}{choices}{default}", WIDTH - 6)
        lines += [f"{word.name}=", *(f"      {line}" for line in about)]
    lines += ["", _parser().format_help().strip(), ""]
    lines += ["Groups and their options, * where none is chosen:", ""]
    for group in [*(() if command.groups else ["experiment"]), *groups]:
        lines += _group([folder / group for folder in folders], defaults.get(group, ""))
    return "\n".join([*lines, "", f"Exit codes: {EXIT_CODES}"])


def default_options(conf: Path) -> dict[str, str]:
    """The default option of each group in the folder `conf`."""
    chosen = OmegaConf.to_container(OmegaConf.load(conf / "config.yaml").defaults)
    assert isinstance(chosen, list)
    return {
        str(group): str(option)
        for entry in chosen
        if isinstance(entry, dict)
        for group, option in entry.items()
    }


def first_sentence(text: str) -> str:
    """The first sentence of the comment at the top of a YAML file; empty without a comment."""
    words = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            words.append(line.removeprefix("#").strip())
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(words))[0]


def _parser() -> Parser:
    """A parser of the options of Hydra that a command accepts."""
    parser = Parser(usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("-m", "--multirun", action="store_true", help="a run for each combination of values")
    add("-cd", "--config-dir", metavar="DIR", help="your own experiment/, deployment/, ... files")
    add("-cn", "--config-name", metavar="NAME", default="config", help="default: config")
    add(
        "-c",
        "--cfg",
        choices=CFG,
        metavar="|".join(CFG),
        help="show the configuration; start nothing",
    )
    add("-p", "--package", metavar="KEY", help="with --cfg: only this part")
    add("--resolve", action="store_true", help="with --cfg: values in place of references")
    add("-i", "--info", nargs="?", const="all", choices=INFO, metavar="WHAT",
        help=f"Hydra's view of it: {', '.join(INFO)}")  # fmt: skip
    add("--hydra-help", action="store_true", help="Hydra's own help")
    add("--version", action="store_true", help="Hydra's version")
    add("-sc", "--shell-completion", action="store_true",
        help='in bash: eval "$(er-run -sc install=bash)", then er-run and the tab key')  # fmt: skip
    add("-h", "--help", action="store_true", help="this text")
    return parser


def _for_hydra(options: argparse.Namespace) -> tuple[str, ...]:
    """The given options that Hydra answers. Raises ConfigError for a combination it refuses."""
    flags = ("hydra_help", "version", "shell_completion")
    given = [f"--{name.replace('_', '-')}" for name in flags if getattr(options, name)]
    valued = {"cfg": options.cfg, "info": options.info}
    given += [f"--{name}={value}" for name, value in valued.items() if value]
    if not given:
        if options.package or options.resolve:
            raise ConfigError("--package and --resolve go with --cfg job")
        return ()
    if options.multirun:
        raise ConfigError(f"{given[0]} is about one job: leave out -m")
    given += [f"--package={options.package}"] if options.package else []
    return tuple([*given, "--resolve"] if options.resolve else given)


def _folder(name: str | None) -> Path | None:
    """The absolute path of --config-dir, if given. Raises ConfigError when it is not a folder."""
    if name is None:
        return None
    if not Path(name).is_dir():
        raise ConfigError(f"--config-dir {name} is not a folder")
    return Path(name).absolute()


def _group(folders: Sequence[Path], default: str) -> list[str]:
    """Lines of help for one group, whose options are in `folders`; empty without options."""
    found = (path for folder in folders for path in folder.glob("*.yaml"))
    options = sorted(found, key=lambda path: path.stem)
    name_width = max((len(path.stem) for path in options), default=0)
    lines = [f"{folders[0].name}="] if options else []
    for path in options:
        mark = "*" if path.stem == default else " "
        start = f"  {mark} {path.stem.ljust(name_width)}  "
        sentence = first_sentence(path.read_text())
        lines += textwrap.wrap(
            sentence, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
        ) or [start.rstrip()]
    return lines
