"""Every client of the load generator against the real Triton."""

import math
from collections.abc import Iterator

import pytest

from er.config import Load, LoadClient, Server
from er.load import proof, server_side
from er.load.users import PointLoad, run_point
from er.results.request import Endpoint, Prompt, ServedModel
from er.server import embedded

pytestmark = pytest.mark.embedded

SERVER = Server("embedded", 60, 15, 0, 0, 0)
USERS = 8


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Endpoint]]:
    parameters = {"gap_s": "0.01", "crash": "no"}
    models = [ServedModel(name, "echo_model", 8, parameters) for name in ("steady", "doomed")]
    with embedded.serve(models, SERVER, tmp_path_factory.mktemp("run")) as endpoints:
        yield endpoints


def drive(endpoint: Endpoint, client: LoadClient, *texts: str, timeout_s: float = 30) -> PointLoad:
    load = Load(
        name="test",
        concurrency=[USERS],
        requests_per_user=3,
        requests_at_least=1,
        warmup_requests_per_user=1,
        request_timeout_s=timeout_s,
        gateway_probes=0,
        max_token_lateness=0.1,
        max_loop_lag_s=0.1,
        client=client,
    )
    prompts = [Prompt(text, "t", len(text.split()), 10) for text in texts]
    return run_point(endpoint, prompts, USERS, load, lambda _: None)


@pytest.mark.parametrize("client", list(LoadClient))
def test_every_token_of_the_real_triton_is_seen(
    endpoints: list[Endpoint], client: LoadClient
) -> None:
    counted = server_side.read(endpoints)
    point = drive(endpoints[0], client, "grüße an 世界", 'he said "!"')
    after = server_side.read(endpoints)
    assert len([request for request in point.requests if not request.cooldown]) == 4 * USERS
    assert counted
    assert after
    difference = after.since(counted)  # the inferences that proved readiness may be told late
    sent = len(point.requests)
    assert sent <= difference["server_succeeded"] <= sent + len(endpoints)
    assert difference["server_failed"] == 0
    assert 0 < difference["server_queue_mean_s"] < 5
    assert {request.error for request in point.requests} == {""}
    for request in point.requests:
        assert request.output_tokens == 10
        assert request.token_lateness == [0.0] * 10
        assert request.token_times_s == sorted(request.token_times_s)
        assert request.text in ("grüßean世界" * 3 + "grüße", 'hesaid"!"' * 3 + "he")
    # 0.99 where nothing else runs; one user after the other would be 0.125.
    assert proof.in_flight_share(point.requests, USERS) > 0.5
    assert math.isnan(proof.prove(point, USERS).read_delay_p99_s) == (
        client is not LoadClient.sockets
    )


@pytest.mark.parametrize("client", list(LoadClient))
def test_an_error_inside_triton_is_an_error_of_its_request(
    endpoints: list[Endpoint], client: LoadClient
) -> None:
    point = drive(endpoints[0], client, "!raise", "all is well")
    planned = [request for request in point.requests if not request.cooldown]
    failed = [request for request in planned if not request.ok]
    assert len(failed) == len(planned) // 2
    assert all("told to" in request.error for request in failed)


def test_a_model_that_dies_is_seen_by_every_client(endpoints: list[Endpoint]) -> None:
    for client in LoadClient:
        point = drive(endpoints[1], client, "!die", timeout_s=3)
        assert point.requests
        assert not any(request.ok for request in point.requests)
