"""``slipway doctor``: what is missing or wrong, on this machine or on a cluster; imports wait until needed."""

import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.doctor import Finding

HEALTHY, ILL = 0, 2


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", profile: argparse.ArgumentParser
) -> None:
    """Register ``doctor``."""
    doctor = commands.add_parser("doctor", parents=[profile], help="tell what is missing or wrong, and its remedy")
    doctor.add_argument("--namespace", default="slipway", metavar="NAME", help="default: slipway")
    doctor.add_argument("--service", metavar="NAME", help="one InferenceService instead of all in the namespace")
    part = doctor.add_mutually_exclusive_group()
    part.add_argument("--laptop", action="store_true", help="look at this machine, its store and its MLflow alone")
    part.add_argument("--cluster", action="store_true", help="look at the cluster alone")
    doctor.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    levels = []
    for finding in _findings(options):
        levels.append(finding.level)
        _tell(f"{finding.level:<8}  {finding.what}")
        if finding.remedy:
            _tell(f"{'':<10}{finding.remedy}")
    return ILL if "problem" in levels else HEALTHY


def _findings(options: argparse.Namespace) -> "Iterator[Finding]":
    from pipelines.doctor import diagnose, endpoints, laptop
    from pipelines.home import Home

    if not options.cluster:
        home = Home()
        yield from diagnose(laptop.checks(home.path))
        yield from diagnose(endpoints.checks({**os.environ, **home.destinations()}))
    if not options.laptop:
        yield from _of_cluster(options)


def _of_cluster(options: argparse.Namespace) -> "Iterator[Finding]":
    from components.kube import Cluster, ClusterError, NoClusterError
    from pipelines.doctor import cluster, diagnose, namespace, of_error, ok, services

    try:
        connection = Cluster.connect()
    except ClusterError as error:
        yield of_error(error)
        return
    except NoClusterError as error:
        if options.cluster:
            raise
        yield ok(f"the cluster is left out: {error}")
        return
    try:
        told = connection.get("/version")
    except ClusterError as error:  # no other check makes sense
        yield of_error(error)
        return
    yield from cluster.version(connection.url, told)
    yield from diagnose(cluster.checks(connection))
    yield from diagnose(namespace.checks(connection, options.namespace))
    yield from diagnose(services.checks(connection, options.namespace, options.service))


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (the command line speaks on standard output)
