"""Command lines with overrides: what they accept, what they refuse, and their help."""

import re
from pathlib import Path

import pytest

from er import build, compose, run, serve
from er.errors import ConfigError
from er.load import command as load
from er.options import CONF, Arguments, parse_arguments
from er.routing import train

COMMANDS = {
    command.name: command
    for command in (run.COMMAND, serve.COMMAND, build.COMMAND, load.COMMAND, train.COMMAND)
}


def parse(*arguments: str) -> Arguments:
    return parse_arguments(run.COMMAND, arguments)


def test_options_are_accepted_in_any_order_and_spelling(tmp_path: Path) -> None:
    parsed = parse("deployment=a", "-m", "--config-dir", str(tmp_path), "seed=0,1", "-cn", "mine")
    assert parsed == parse(f"--config-dir={tmp_path}", "--config-name=mine", "--multirun",
                          "deployment=a", "seed=0,1")  # fmt: skip
    assert parsed.overrides == ("deployment=a", "seed=0,1")
    assert (parsed.multirun, parsed.config_dir, parsed.config_name) == (True, tmp_path, "mine")


@pytest.mark.parametrize("argument", ["--foo", "-x", "--config", "-1"])
def test_an_option_that_is_not_known_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match=f"^{argument} is not known"):
        parse("deployment=a", argument)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config-dir", "/nowhere"], "^--config-dir /nowhere is not a folder$"),
        (["--resolve"], "^--package and --resolve go with --cfg job$"),
        (["--config-name"], "expected one argument"),
        (["--cfg", "nope"], "invalid choice: 'nope'"),
        (["--info", "nope"], "invalid choice: 'nope'"),
        (["-m", "--cfg", "job", "seed=0,1"], "^--cfg=job is about one job: leave out -m$"),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        parse(*arguments)
    assert "\n" not in str(refused.value)


def test_arguments_of_the_command_are_not_overrides() -> None:
    parsed = parse_arguments(build.COMMAND, ["dry=true", "deployment=a"])
    assert parsed.words == {"job": "", "dry": "true", "action": "build"}
    assert parsed.overrides == ("deployment=a",)
    with pytest.raises(ConfigError, match=r"^dry is perhaps: choose from true, false$"):
        parse_arguments(build.COMMAND, ["dry=perhaps"])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_argument_and_every_option(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[name]
    with pytest.raises(SystemExit) as ended:
        parse_arguments(command, ["+experiment=fig99", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for word in command.words:
        assert re.search(rf"^{word.name}=$", text, re.M)
        assert not word.default or f"default: {word.default}" in text
    groups = command.groups or [path.name for path in CONF.iterdir() if path.is_dir()]
    for group in set(groups) - {"model", "correction"}:  # parts of other groups
        for path in (CONF / group).glob("*.yaml"):
            assert re.search(rf"^  [* ] {path.stem} +\w", text, re.M), path
    assert "--config-dir" in text
    assert "base_" not in text


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("load.headers={x-api-key: MY_KEY}", {"x-api-key": "MY_KEY"}),
        ("load.headers.x-api-key=MY_KEY", {"x-api-key": "MY_KEY"}),
        (
            "load.trace_columns={time: when, input_tokens: in}",
            {"time": "when", "input_tokens": "in"},
        ),
    ],
)
def test_mappings_accept_keys_of_the_user(argument: str, found: dict[str, str]) -> None:
    trace = ["load=trace", "load.trace=FILE"] if "trace" in argument else []
    [job] = compose.jobs_for(parse_arguments(load.COMMAND, [*trace, argument]))
    assert getattr(job.config.load, re.split("[.=]", argument)[1]) == found


def test_help_lists_the_options_of_the_users_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deployment").mkdir()
    (tmp_path / "deployment" / "f.yaml").write_text("# My own.\n")
    with pytest.raises(SystemExit):
        parse("--help", f"--config-dir={tmp_path}")
    assert re.search("^    f +My own.$", capsys.readouterr().out, re.M)


def test_examples_in_help_are_quoted_for_a_shell() -> None:
    for command in COMMANDS.values():
        for line in command.examples.splitlines():
            bare = re.sub(r"'[^']*'", "", line.split("   ")[0].strip())
            assert not re.search(r"[\[\]*?{}()&;<>|]", bare), line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "deployment=a,e"], "^these are 2 deployments: give one value for each key$"),
        (["clock=virtual"], "^clock=virtual starts nothing: leave it out$"),
        (["cluster=slurm"], "^er.serve serves here: leave cluster out$"),
    ],
)
def test_only_one_deployment_is_served_and_only_here(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        serve.serve(arguments)
