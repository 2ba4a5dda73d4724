"""What is refused before a gateway starts, each in one line that says what to do."""

import math
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from er.compose import jobs_of, plan
from er.config import Policy
from er.config.gateway import is_openai, require_address
from er.config.runnable import require_runnable
from er.errors import ConfigError, ErError
from er.gateway import __main__ as command
from er.gateway import keys, serve
from er.gateway.__main__ import make_plan
from er.gateway.announcement import describe
from er.gateway.fast.replica import OPENAI, TRITON, Replica
from er.gateway.plan import Plan
from tests.unit.gateway.conftest import HOST, settings

DOCS = Path(__file__).parents[3] / "docs" / "gateway.md"
TRITON_URL = "http://h:1/v2/models/ensemble/generate_stream"


@pytest.mark.parametrize("address", [
    "http://h:1", "http://h:1/", "http://h:1/v2", "http://h:1/v1/models", "http://h:1/?x=/v1",
    "http://h:1/v2/models/ensemble",
])  # fmt: skip
def test_an_address_with_another_ending_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"addresses end with /v1 .* or /generate_stream"):
        require_address(address, "gateway.experts")


@pytest.mark.parametrize(("address", "dialect"), [
    ("http://h:1/v1", OPENAI), ("http://h:1/v1/", OPENAI), ("http://h:1/api/v1?key=1", OPENAI),
    ("http://h:1/v1/chat/completions", OPENAI), ("http://h:1/v1/completions", OPENAI),
    (TRITON_URL, TRITON), ("http://h:1/generate_stream", TRITON), ("http://h:1/generate", TRITON),
    ("http://h:1/v2/models/completions/generate_stream", TRITON),
])  # fmt: skip
def test_an_address_says_which_api_its_expert_speaks(address: str, dialect: str) -> None:
    require_address(address, "gateway.experts")
    assert Replica(0, 0, address).dialect == dialect


@pytest.mark.parametrize("host", ["h", "h:1", "h:99999", "a..b"])
def test_a_password_in_an_address_is_not_printed(host: str) -> None:
    with pytest.raises(ConfigError) as refused:
        require_address(f"http://user:sesame@{host}/v1", "gateway.experts")
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("kind", ["aiohttp", "sklearn"])
def test_the_simple_kinds_know_no_openai_experts(kind: str) -> None:
    [job] = plan([f"gateway={kind}"])
    Plan(job.gateway, [[TRITON_URL]], Policy.random)
    with pytest.raises(ConfigError, match=rf"gateway={kind} knows no OpenAI experts \(http://h/v1"):
        Plan(job.gateway, [[TRITON_URL], ["http://h/v1"]], Policy.random)
    with pytest.raises(ConfigError, match=r"give one that ends with /generate_stream, or"):
        Plan(job.gateway, [[TRITON_URL.removesuffix("_stream")]], Policy.random)


@pytest.mark.parametrize(("changes", "says"), [
    ({"admin_port": 99999}, "gateway.admin_port is 99999: give a TCP port, or 0 for no admini"),
    ({"port": 8080, "admin_port": 8080}, "gateway.port and gateway.admin_port are both 8080"),
    ({"limits": {"header_bytes": 1}}, "gateway.limits.header_bytes is 1: give 1024 or more"),
    ({"limits": {"body_bytes": 1}}, "gateway.limits.body_bytes is 1: give 1024 or more"),
    ({"limits": {"buffered_bytes": 9999}}, "buffered_bytes is 9999: give body_bytes, 4194304, or"),
    ({"timeouts": {"probe_s": 1e-9}}, "gateway.timeouts.probe_s is 1e-09: give seconds, from 0.01"),
    ({"timeouts": {"queue_s": math.inf}}, "gateway.timeouts.queue_s is inf: give seconds, from "),
    ({"ready_timeout_s": math.inf}, "gateway.ready_timeout_s is inf: give seconds, from 0.01 to"),
    ({"breaker_open_s": math.nan}, "gateway.breaker_open_s is nan: give seconds, from 0.01 to"),
    ({"experts": [[TRITON_URL, TRITON_URL]]}, f"{TRITON_URL} twice for one cluster"),
])  # fmt: skip
def test_settings_that_could_not_serve_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        settings(**changes)


@pytest.mark.parametrize(("content", "says"), [
    ("# ours\n\nann:short\n", "keys, line 3: give a key of 8 characters or more"),
    ("ann\n", "keys, line 1: give NAME:KEY"),
    ("ann smith:long-enough\n", "keys, line 1: give NAME:KEY, with a name without spaces"),
    ("ann: long-enough\n", "keys, line 1: give a key of 8 characters or more, without spaces"),
    ("ann:long-enough\nbob:long-enough\n", "keys, line 2: ann has this API key too"),
])  # fmt: skip
def test_a_wrong_key_is_named_by_file_and_line(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        keys.read(str(file))
    assert says in str(refused.value)
    assert "long-enough" not in str(refused.value)


def test_a_wrong_key_of_the_environment_is_named_by_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(keys.VARIABLE, "ann:long-enough,bob:short")
    with pytest.raises(ConfigError, match=f"^{keys.VARIABLE}, entry 2: give a key of 8"):
        keys.read("")


@pytest.mark.parametrize("key", ["", "short", "with a space"])
def test_a_short_key_of_the_administrator_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(keys.ADMIN_VARIABLE, key)
    with pytest.raises(ConfigError, match=f"^{keys.ADMIN_VARIABLE} .* 8 "):
        keys.read_admin(settings(admin_port=1))
    assert not keys.read_admin(settings())  # no administration


def test_the_administrators_port_is_checked_before_anything_starts() -> None:
    with socket.create_server((HOST, 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ErError, match=f"admin_port {port} cannot be opened .*=0 for no"):
            serve.check(settings(admin_port=port))


def test_the_gpus_of_experts_that_run_already_are_not_counted() -> None:
    given = ["deployment=e", "deployment.experts=10"]
    with pytest.raises(ConfigError, match="needs 10 GPUs"):
        plan(given)
    urls = ",".join(f"http://h:{port}/v1" for port in range(1, 11))
    [config] = plan([*given, f"gateway.experts=[{urls}]"])
    assert config.routing.clusters == 10
    with pytest.raises(ConfigError, match=r"gateway\.experts is for python -m er\.gateway"):
        require_runnable(config)
    [config] = plan(["gateway.tls_certificate=c", "gateway.tls_key=k"])
    with pytest.raises(ConfigError, match=r"gateway\.tls_certificate is for python -m er\.gateway"):
        require_runnable(config)


@pytest.mark.parametrize(("changes", "says"), [
    ({}, "1 expert behind http://127.0.0.1:80, policy random, gateway=fast, 1 process, no API"),
    ({"tls_certificate": "c", "tls_key": "k"}, "https://127.0.0.1:80"),
    ({"processes": 2, "api_keys_file": "keys"}, "2 processes, API keys needed"),
    ({"host": "::1"}, "http://[::1]:80, "),
    ({"admin_port": 9}, "administration on http://127.0.0.1:9 (no key needed)"),
])  # fmt: skip
def test_a_gateway_prints_what_it_is(changes: dict[str, Any], says: str) -> None:
    assert says in describe(Plan(settings(**changes), [[TRITON_URL]], Policy.random), 80)


@pytest.mark.parametrize(("takes_s", "prints"), [(0.0, ""), (0.2, "training the router")])
def test_a_router_that_takes_long_to_make_is_announced(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], takes_s: float, prints: str
) -> None:
    def router_for(*_: object) -> Path:
        time.sleep(takes_s)
        return Path("router.npz")

    monkeypatch.setattr("er.routing.cached.router_for", router_for)
    monkeypatch.setattr(command, "SILENT_AT_MOST_S", takes_s / 4 or 60.0)
    [config] = plan(["deployment=e"])
    assert command.find_router(config) == Path("router.npz")
    printed = capfd.readouterr().out
    assert prints in printed
    assert bool(prints) is bool(printed)


def test_a_file_without_self_decides_too_and_warns_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [config]\ngateway: {port: 8081}\n")
    [job] = jobs_of([], config_dir=tmp_path, config_name="mine")  # a warning would be an error
    assert job.config.gateway.port == 8081


def test_the_file_that_the_docs_show_makes_a_gateway(tmp_path: Path) -> None:
    [text] = re.findall(r"```yaml\n(# own/mine\.yaml\n.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text)
    overrides = ["gateway.port=0", "routing.policy=least_loaded"]  # no router is trained here
    [job] = jobs_of(overrides, config_dir=tmp_path, config_name="mine")
    experts = make_plan(job.config).experts
    assert [is_openai(replicas[0]) for replicas in experts] == [True, False]
