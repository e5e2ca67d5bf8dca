import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from serving.errors import SettingsError
from serving.monitoring import tracing as module
from serving.monitoring.tracing import Tracing, open_tracing

REST, GRPC = "POST /v2/models/{model}/infer", "inference.GRPCInferenceService/ModelInfer"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PACKAGE = "ab" * 32


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP; answers only while it is open."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.taken: list[tuple[str, ExportTraceServiceRequest]] = []
        self.asked = threading.Event()
        self.open = threading.Event()
        self.open.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for _, request in self.taken
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Answer(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        if not self.server.open.wait(30):
            return
        self.server.taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.open.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def start(endpoint: str, **environment: str) -> Tracing:
    found = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **environment}, model="tiny", package=PACKAGE)
    assert found
    return found


def attributes(attributed: object) -> dict[str, str | int]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributed.attributes}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "x"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_without_a_collector_there_is_no_tracing(environment):
    assert open_tracing(environment, model="tiny", package=PACKAGE) is None


def test_without_a_collector_opentelemetry_is_not_loaded():
    program = (
        "import sys\nfrom serving.monitoring.tracing import open_tracing\n"
        "assert open_tracing({}, model='tiny', package='') is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_request_is_a_server_span_in_the_trace_of_the_client(collector):
    tracing = start(collector.url)
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=b", "authorization": "secret"}
    tracing.finish(tracing.start(REST, headers, "/v2/models/tiny/infer"), "200", 3)
    tracing.close()
    assert [path for path, _ in collector.taken] == ["/v1/traces"]
    (span,) = collector.spans
    assert (span.name, span.kind) == (REST, Span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "a=b")
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/v2/models/{model}/infer",
        "url.path": "/v2/models/tiny/infer",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "slipway.model": "tiny",
        "slipway.package": PACKAGE,
        "slipway.rows": 3,
    }


def test_a_request_over_grpc_has_the_names_of_rpc(collector):
    tracing = start(collector.url)
    tracing.finish(tracing.start(GRPC, {}), "INVALID_ARGUMENT", 0)
    tracing.close()
    (span,) = collector.spans
    assert (span.name, span.kind, span.parent_span_id) == (GRPC, Span.SPAN_KIND_SERVER, b"")
    found = attributes(span)
    assert (found["rpc.system.name"], found["rpc.method"]) == ("grpc", GRPC)
    assert (found["rpc.response.status_code"], found["rpc.grpc.status_code"]) == ("INVALID_ARGUMENT", 3)
    assert not any(name.startswith("http.") for name in found)


@pytest.mark.parametrize(
    ("operation", "code", "fault"),
    [
        (REST, "400", False),
        (REST, "499", False),
        (REST, "500", True),
        (REST, "503", True),
        (GRPC, "OK", False),
        (GRPC, "CANCELLED", False),
        (GRPC, "INTERNAL", True),
        (GRPC, "UNAVAILABLE", True),
    ],
)
def test_only_what_is_the_servers_fault_is_an_error(collector, operation, code, fault):
    tracing = start(collector.url)
    tracing.finish(tracing.start(operation, {}), code, 0)
    tracing.close()
    (span,) = collector.spans
    assert (span.status.code == Status.STATUS_CODE_ERROR) == fault
    assert attributes(span).get("error.type") == (code if fault else None)


@pytest.mark.parametrize(
    "parent",
    ["", "x", "\r\n\x00", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}", "0" * 99999],
    ids=lambda parent: ascii(parent[:40]),
)
def test_a_trace_of_no_known_form_is_not_continued(collector, parent):
    tracing = start(collector.url)
    tracing.finish(tracing.start(REST, {"traceparent": parent, "tracestate": "," * 9999}), "200", 1)
    tracing.close()
    (span,) = collector.spans
    assert span.parent_span_id == b"" and len(span.trace_id) == 16


def test_a_trace_that_the_client_does_not_sample_is_not_sent(collector):
    tracing = start(collector.url)
    for flags in ("00", "01"):
        tracing.finish(tracing.start(REST, {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}), "200", int(flags))
    tracing.close()
    assert [attributes(span)["slipway.rows"] for span in collector.spans] == [1]


def test_the_service_has_a_name_that_the_environment_may_change(collector, monkeypatch):
    for name in (None, "mine"):
        if name:
            monkeypatch.setenv("OTEL_SERVICE_NAME", name)
        tracing = start(collector.url)
        tracing.finish(tracing.start(REST, {}), "200", 1)
        tracing.close()
    services = [attributes(request.resource_spans[0].resource) for _, request in collector.taken]
    assert [service["service.name"] for service in services] == ["slipway-predictor", "mine"]
    assert all(service["telemetry.sdk.language"] == "python" for service in services)


def test_the_endpoint_of_traces_is_taken_as_it_is(collector):
    tracing = start("http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/own/path")
    tracing.finish(tracing.start(REST, {}), "200", 1)
    tracing.close()
    assert [path for path, _ in collector.taken] == ["/own/path"]


def test_spans_leave_while_the_process_lives(collector, monkeypatch):
    monkeypatch.setattr(module, "DELAY_MILLISECONDS", 10)
    tracing = start(collector.url)
    tracing.finish(tracing.start(REST, {}), "200", 1)
    assert collector.asked.wait(30)
    tracing.close()


def test_a_dead_collector_costs_spans_and_one_line_without_secrets(capfd, monkeypatch):
    monkeypatch.setattr(module, "EXPORT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    secret = secrets.token_hex(8)
    tracing = start("", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{port}/v1/traces?key={secret}")
    for _ in range(3 * module.QUEUE):
        tracing.finish(tracing.start(REST, {}), "200", 1)
    tracing.close()
    written, errors = capfd.readouterr()
    (line,) = map(json.loads, written.splitlines())
    assert line["event"] == "traces_not_sent" and line["error"].startswith("127.0.0.1 takes no spans")
    assert secret not in written and errors == ""


def test_closing_does_not_wait_for_a_collector_that_hangs(collector, monkeypatch):
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(module, "EXPORT_SECONDS", 30.0)
    collector.open.clear()
    tracing = start(collector.url)
    tracing.finish(tracing.start(REST, {}), "200", 1)
    tracing.close()
    assert collector.asked.wait(30) and collector.taken == []
    tracing.finish(tracing.start(REST, {}), "200", 1)


@pytest.mark.parametrize(
    "endpoint", ["collector:4317", "grpc://collector:4317", "http://", "/v1/traces", "http://[::1", "http://h:port"]
)
def test_an_endpoint_that_is_none_is_refused(endpoint):
    with pytest.raises(SettingsError, match="^OTEL_EXPORTER_OTLP_ENDPOINT names no collector"):
        start(endpoint)


def test_another_protocol_is_refused():
    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc': .* port 4318"):
        start("http://127.0.0.1:4317", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
