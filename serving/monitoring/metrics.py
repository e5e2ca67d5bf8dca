"""The numbers of the predictor for Prometheus, with labels of a fixed set of values.

Counted in the event loop alone, so that counting is an addition; turned into Prometheus' form when it is scraped. No
value of a client becomes a label. ``request_*_seconds`` are called as kserve's own servers call them.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from modelpackage import Package
from serving import log
from serving.errors import OK, STATUS

#: Seconds; from a tree on one row to a large network on a large batch.
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
PROTOCOLS = ("rest", "grpc")
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Histogram:
    """Counts of values up to ascending edges."""

    __slots__ = ("counts", "edges", "sum")

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts as Prometheus wants them."""
        total, found = 0, []
        for edge, count in zip((*map(str, self.edges), "+Inf"), self.counts, strict=True):
            total += count
            found.append((edge, float(total)))
        return found


class Metrics(Collector):
    """Everything that is counted about requests.

    Attributes:
        requests: Inference requests by protocol and code.
        refusals: Requests that got no answer, by reason.
        in_flight: Inference requests that are being answered, by protocol.
        connections: Open HTTP connections.
        pending_bytes: Bytes of requests that are being received or answered.
        preprocess: Seconds of reading a request.
        queue: Seconds of waiting for the graph.
        predict: Seconds of waiting for the graph and running it.
        postprocess: Seconds of making and writing an answer.
        batch: Rows of the batches.
    """

    def __init__(self) -> None:
        # Every series is there from the start: a rate can't see a counter's first step.
        self.requests = Counter({(way, status.code(way)): 0 for way in PROTOCOLS for status in (OK, *STATUS.values())})
        self.refusals = Counter({status.reason: 0 for status in STATUS.values()})
        self.in_flight = dict.fromkeys(PROTOCOLS, 0)
        self.connections = self.pending_bytes = 0
        self.preprocess, self.queue, self.predict, self.postprocess = (Histogram(SECONDS) for _ in range(4))
        self.batch = Histogram(ROWS)
        self._served: tuple[Package, str, float] | None = None

    def serve(self, package: Package, name: str, seconds: float) -> None:
        """Tell which package is served and how long it took to load."""
        self._served = package, name, seconds

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        requests = CounterMetricFamily(
            "slipway_requests", "Inference requests by how they ended", labels=["protocol", "code"]
        )
        for labels, count in sorted(self.requests.items()):
            requests.add_metric(labels, count)
        yield requests
        refusals = CounterMetricFamily("slipway_refusals", "Requests without an answer", labels=["reason"])
        for reason, count in sorted(self.refusals.items()):
            refusals.add_metric([reason], count)
        yield refusals
        in_flight = GaugeMetricFamily(
            "slipway_requests_in_flight", "Inference requests being answered", labels=["protocol"]
        )
        for protocol, count in self.in_flight.items():
            in_flight.add_metric([protocol], count)
        yield in_flight
        yield GaugeMetricFamily("slipway_connections", "Open HTTP connections", self.connections)
        yield GaugeMetricFamily("slipway_pending_bytes", "Bytes of requests in work", self.pending_bytes)
        yield CounterMetricFamily("slipway_log_lines_dropped", "Log lines that nobody read in time", log.output.dropped)
        yield from self._histograms()
        yield from self._package()

    def _histograms(self) -> Iterable[Metric]:
        name = self._served[1] if self._served else ""
        for stage, text in (("preprocess", "Reading a request"), ("predict", "Waiting for the graph and running it"),
                            ("postprocess", "Making an answer")):  # fmt: skip
            family = HistogramMetricFamily(f"request_{stage}_seconds", f"{text}, in seconds", labels=["model_name"])
            histogram: Histogram = getattr(self, stage)
            family.add_metric([name], histogram.buckets(), histogram.sum)
            yield family
        for metric, text, histogram in (
            ("slipway_queue_seconds", "Waiting for the graph, in seconds", self.queue),
            ("slipway_batch_rows", "Rows that ran together", self.batch),
        ):
            yield HistogramMetricFamily(metric, text, buckets=histogram.buckets(), sum_value=histogram.sum)

    def _package(self) -> Iterable[Metric]:
        if self._served is None:
            return
        package, name, seconds = self._served
        info = GaugeMetricFamily(
            "slipway_package_info", "The package that is served, always 1", labels=["name", "digest", "format"]
        )
        info.add_metric([name, package.digest, str(package.descriptor.format)], 1)
        yield info
        yield GaugeMetricFamily("slipway_load_seconds", "Time to open and prove the package, in seconds", seconds)
