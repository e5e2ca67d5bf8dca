"""Puts the parts of a predictor together: the model, those who watch it, and the ways to ask it."""

import gc
from collections.abc import Mapping

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from modelpackage import Package
from serving.monitoring.drift import Drift
from serving.monitoring.feedback import Feedback
from serving.monitoring.metrics import Metrics
from serving.monitoring.monitor import Monitor
from serving.monitoring.observers import Observers, Watcher
from serving.monitoring.predictions import PredictionLog
from serving.monitoring.sink import open_sink
from serving.monitoring.state import State
from serving.monitoring.tracing import open_tracing
from serving.predictor import Predictor
from serving.rest.inference import Inference
from serving.rest.service import Service
from serving.rest.site import Site
from serving.s3 import S3
from serving.server import run
from serving.settings import Settings

#: Collections: after this many new objects that stay, and the older ones after this many of the younger.
COLLECT = (5_000, 20, 20)


def serve(package: Package, settings: Settings, environment: Mapping[str, str]) -> None:
    """Serve a package until the process is asked to end.

    Args:
        package: A verified package.
        settings: Everything that can be set.
        environment: That of the process: credentials of the prediction log, and where traces go.

    Raises:
        PackageError: This machine does not reproduce it.
        SettingsError: A port is taken, or a place can't be used.
    """
    metrics = Metrics()
    predictor = Predictor(package, settings, metrics)
    predictor.load()
    tracing = open_tracing(environment, model=predictor.name, package=package.digest)
    drift = Drift(package.descriptor, package.reference())
    feedback = Feedback(package.descriptor.labels)
    predictions = _prediction_log(package, predictor.name, settings, environment)
    state = State(settings.state, package=package.digest, drift=drift, feedback=feedback) if settings.state else None
    watchers: list[Watcher] = [drift, *([predictions] if predictions else []), *([state] if state else [])]
    wanted = predictions.sampled if predictions else None
    observers = Observers(watchers, remember=feedback.remember, wanted=wanted)
    registry = CollectorRegistry(auto_describe=False)
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, metrics, drift, feedback, predictions):
        if collector is not None:
            registry.register(collector)
    monitor = Monitor(metrics, package.digest, quiet=settings.log == "errors", tracing=tracing)

    def build() -> tuple[Predictor, Monitor, Site]:
        predictor.start(observers)
        _settle()
        inference = Inference(predictor, monitor, settings)
        service = Service(predictor, registry, feedback, settings)
        return predictor, monitor, Site(predictor, monitor, inference, service, settings)

    try:
        run(build, settings)
    finally:
        observers.close()
        for part in (state, predictions, tracing):
            if part is not None:
                part.close()


def _settle() -> None:
    """Keep the garbage collector from what stays, and from looking often: requests leave it hardly anything.

    A collection looks at everything that is alive, for some ten milliseconds in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


def _prediction_log(
    package: Package, name: str, settings: Settings, environment: Mapping[str, str]
) -> PredictionLog | None:
    if settings.prediction_log is None:
        return None
    sink = open_sink(settings.prediction_log, S3.of(environment))
    return PredictionLog(sink, package.descriptor, name=name, sample=settings.prediction_sample)
