"""Metrics of servers while a point runs."""

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from er.load import server_watch
from er.results.request import Endpoint
from tests.standins.waiting import eventually

# As the backend writes them, after triton-inference-server/tensorrtllm_backend at v0.19.0.
METRICS = """
nv_inference_request_success{{model="ensemble",version="1"}} 7
nv_trt_llm_request_metrics{{model="tensorrt_llm",request_type="active",version="1"}} {active}
nv_trt_llm_request_metrics{{model="tensorrt_llm",request_type="max",version="1"}} 256
nv_trt_llm_request_metrics{{model="tensorrt_llm",request_type="waiting",version="1"}} 2
nv_trt_llm_kv_cache_block_metrics{{kv_cache_block_type="max",model="tensorrt_llm",version="1"}} 376
nv_trt_llm_kv_cache_block_metrics{{kv_cache_block_type="used",model="tensorrt_llm",version="1"}} 94
nv_trt_llm_kv_cache_block_metrics{{kv_cache_block_type="tokens_per",model="m",version="1"}} 64
nv_trt_llm_inflight_batcher_metrics{{inflight_batcher_specific_metric="paused_requests",model="m",version="1"}} 0
"""  # noqa: E501


@pytest.fixture
def metrics_server() -> Iterator[tuple[list[str], list[Endpoint]]]:
    """What two servers answer next and have answered since, and the servers."""
    texts = [METRICS.format(active=3)]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = texts[0].encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            texts.append("")

        def log_message(self, *_: object) -> None:
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    urls = [f"http://127.0.0.1:{server.server_port}/metrics" for server in servers]
    yield texts, [Endpoint("", "m", "", url) for url in urls]
    for server in servers:
        server.shutdown()
        server.server_close()


def test_gauges_are_summed_over_servers_and_followed_over_time(
    metrics_server: tuple[list[str], list[Endpoint]], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, engines = metrics_server
    monkeypatch.setattr(server_watch, "INTERVAL_S", 0.02)
    with server_watch.watch_servers(engines) as watch:
        assert eventually(lambda: len(texts) > 10)
        texts[:] = [METRICS.format(active=5)]
        assert eventually(lambda: len(texts) > 10)
    known = watch.evidence()
    assert known["server_active_max"] == 10
    assert 6 < known["server_active_mean"] < 10
    assert known["server_waiting_mean"] == known["server_waiting_max"] == 4
    assert known["server_kv_pool_tokens"] == 376 * 64
    assert known["server_kv_used_share_max"] == 0.25
    assert known["server_paused_max"] == 0


def test_servers_without_these_gauges_have_no_evidence(
    metrics_server: tuple[list[str], list[Endpoint]],
) -> None:
    texts, engines = metrics_server
    texts[0] = 'nv_inference_request_success{model="ensemble",version="1"} 7\n'
    with server_watch.watch_servers(engines) as watch:
        pass
    assert not any("kv" in name or "gpu" in name for name in watch.evidence())
    with server_watch.watch_servers([Endpoint("", "m", "", "http://127.0.0.1:1/metrics")]) as watch:
        pass
    assert watch.servers == []


def test_the_busiest_python_model_is_reported(
    metrics_server: tuple[list[str], list[Endpoint]], tmp_path: Path
) -> None:
    stub = tmp_path / "triton_python_backend_stub"
    stub.symlink_to(sys.executable)
    spin = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    import subprocess

    with subprocess.Popen([stub, "-c", spin]) as busy:
        time.sleep(0.3)
        with server_watch.watch_servers(metrics_server[1]) as watch:
            time.sleep(1)
        busy.kill()
    known = watch.evidence()
    assert 0.05 < known["server_stub_cpu_share_max"] <= 1.2
    assert known["server_stub_cpu_share_sum"] >= known["server_stub_cpu_share_max"]
