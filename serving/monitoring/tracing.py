"""Optional tracing: one OpenTelemetry server span for each inference request, in the trace that the client began.

Off, and nothing of OpenTelemetry is loaded, unless the environment names a collector. Then the variables of its
specification hold: ``OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT`` and ``_HEADERS``, ``OTEL_SERVICE_NAME``,
``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_TRACES_SAMPLER``. Names are those of https://opentelemetry.io/docs/specs/semconv/.
Refuses a protocol other than OTLP over HTTP. A dead collector costs spans, never answers. May be imported by whoever
answers requests.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from grpc import StatusCode

from serving.errors import SettingsError
from serving.log import log

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

TRACES_ENDPOINT, ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SERVICE = "slipway-predictor"
#: Spans that wait for the collector, those that go together, and how often they go.
QUEUE, BATCH, DELAY_MILLISECONDS = 2048, 512, 1000
PATH_CHARACTERS = 256
#: How long the collector may take an answer, and the end of the process for the last spans.
EXPORT_SECONDS, CLOSE_SECONDS = 1.0, 2.0
#: Between lines about a collector that takes nothing.
SILENT_SECONDS = 60.0
#: What a client sends to have its trace continued: https://www.w3.org/TR/trace-context/.
CONTEXT = ("traceparent", "tracestate")
#: What the conventions count as the server's fault over gRPC; over HTTP it is 500 and above.
FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
HTTP_FAULT = 500


class Tracing:
    """Makes spans and sends them from a thread of its own.

    Args:
        provider: Where spans are made; closed with this.
        model: Name of the model, as it is served.
        package: Digest of its package.
    """

    def __init__(self, provider: "TracerProvider", *, model: str, package: str) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider, self._kind = provider, SpanKind.SERVER
        self._tracer = provider.get_tracer("slipway")
        self._propagator = TraceContextTextMapPropagator()
        self._attributes = {"slipway.model": model, "slipway.package": package}

    def start(self, operation: str, headers: Mapping[str, str], path: str | None = None) -> "Span":
        """Begin the span of a request.

        Args:
            operation: A route, like ``POST /v2/models/{model}/infer``, or a gRPC method, like
                ``inference.GRPCInferenceService/ModelInfer``.
            headers: Or metadata of the request; names in lower case.
            path: What the client asked for over HTTP, without a query.

        Returns:
            A handle for :meth:`finish`.
        """
        method, _, route = operation.rpartition(" ")
        if method:
            path = (path or route)[:PATH_CHARACTERS]
            told = {"http.request.method": method, "http.route": route, "url.path": path, "url.scheme": "http"}
        else:
            told = {"rpc.system.name": "grpc", "rpc.method": operation}
        carrier = {name: headers[name] for name in CONTEXT if name in headers}
        parent = self._propagator.extract(carrier) if carrier else None
        return self._tracer.start_span(operation, parent, self._kind, {**told, **self._attributes})

    def finish(self, span: "Span", code: str, rows: int) -> None:
        """End the span of a request.

        Args:
            span: What :meth:`start` gave.
            code: The HTTP status or the name of the gRPC status.
            rows: How many were answered.
        """
        span.set_attribute("slipway.rows", rows)
        if code.isdigit():
            span.set_attribute("http.response.status_code", int(code))
            fault = int(code) >= HTTP_FAULT
        else:
            # The first is today's name; what reads gRPC spans mostly knows the second.
            span.set_attribute("rpc.response.status_code", code)
            span.set_attribute("rpc.grpc.status_code", StatusCode[code].value[0])
            fault = code in FAULTS
        if fault:
            from opentelemetry.trace import Status
            from opentelemetry.trace import StatusCode as Outcome

            span.set_attribute("error.type", code)
            span.set_status(Status(Outcome.ERROR))
        span.end()

    def close(self) -> None:
        """Send what waits, for at most two seconds."""
        # The provider would wait half a minute for a collector that hangs.
        thread = threading.Thread(target=self._provider.shutdown, name="tracing", daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)


def open_tracing(environment: Mapping[str, str], *, model: str, package: str) -> Tracing | None:
    """Start tracing where the environment names a collector.

    Args:
        environment: That of the process: what is about headers, resources and sampling is read there by OpenTelemetry.
        model: Name of the model, as it is served.
        package: Digest of its package.

    Returns:
        None where tracing is off.

    Raises:
        SettingsError: The endpoint is none, or another protocol is asked for.
    """
    endpoint = environment.get(TRACES_ENDPOINT) or ""
    if not endpoint and environment.get(ENDPOINT):
        endpoint = environment[ENDPOINT].rstrip("/") + "/v1/traces"
    if not endpoint or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    _check(endpoint, environment)
    return Tracing(_provider(endpoint), model=model, package=package)


def _check(endpoint: str, environment: Mapping[str, str]) -> None:
    try:
        parts = urlsplit(endpoint)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        known = False
    if not known:
        # The value stays out: it may hold a password.
        raise SettingsError(f"{ENDPOINT} names no collector; give it as http://host:4318")
    name = next((name for name in PROTOCOLS if environment.get(name)), None)
    if name and environment[name] != "http/protobuf":
        raise SettingsError(
            f"{name} is {environment[name]!r}: spans leave as http/protobuf only; "
            f"set it so, with an endpoint that takes it, usually port 4318"
        )


def _provider(endpoint: str) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    complaints = logging.getLogger("opentelemetry")
    complaints.handlers, complaints.propagate = [Complaints(urlsplit(endpoint).hostname or "")], False
    # What the environment says of the service wins over our name for it.
    resource = Resource.create({"service.name": SERVICE}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=QUEUE, schedule_delay_millis=DELAY_MILLISECONDS, max_export_batch_size=BATCH
        )
    )
    return provider


class Complaints(logging.Handler):
    """Makes one line a minute of what OpenTelemetry complains about; its own words may hold a URL with a secret."""

    def __init__(self, host: str) -> None:
        super().__init__(logging.WARNING)
        self._host, self._told = host, -SILENT_SECONDS

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, unless there was one."""
        if time.monotonic() - self._told >= SILENT_SECONDS:
            self._told = time.monotonic()
            log("traces_not_sent", error=f"{self._host} takes no spans, or not all; check {ENDPOINT}", at=record.name)
