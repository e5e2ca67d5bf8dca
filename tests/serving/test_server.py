"""The life of a server process: its ports, its readiness, and its end."""

import json
import signal
import socket

import grpc
import httpx
import pytest
import slow
import slow_calls
from wire import LIVE, Wire, eventually, head, in_flight, metrics, post

from serving.__main__ import main

FREE = ["--host", "127.0.0.1", "--http-port", "0", "--grpc-port", "0"]


@pytest.fixture(scope="module")
def lazy(tmp_path_factory):
    """The package of the slow model."""
    return slow.seal(tmp_path_factory.mktemp("slow") / "package").path


def events(lines):
    return [json.loads(line)["event"] for line in lines]


def ended(server):
    """Its exit code and the events after its ready line; nothing on standard error."""
    out, errors = server.process.communicate(timeout=30)
    assert errors == ""
    return server.process.returncode, events(out.splitlines())


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_turns_readiness_off_and_answers_until_others_have_noticed(launch, sealed):
    server = launch[0](sealed.path, "--drain-seconds", "2")
    port = server.ready["http_port"]
    with Wire(port) as kept, grpc.insecure_channel(server.grpc) as channel:
        assert kept.ask(post()).status == 200
        assert slow_calls.is_ready(channel)
        server.process.send_signal(signal.SIGTERM)
        assert json.loads(server.process.stdout.readline())["event"] == "draining" or server.process.stdout.readline()
        for path in ("/v2/health/ready", "/v2/models/tiny/ready", "/v1/models/tiny"):
            assert httpx.get(f"{server.http}{path}").status_code == 503
        assert not slow_calls.is_ready(channel)
        answers = [kept.ask(post())]
        with Wire(port) as new:
            answers.append(new.ask(post()))
        with Wire(port) as live:
            answers.append(live.ask(LIVE))
        assert [(answer.status, answer.closes) for answer in answers] == [(200, True)] * 3
        assert kept.closed
        assert slow_calls.infer(channel, 1).result().model_name == "tiny"
        assert server.process.poll() is None
    code, after = ended(server)
    assert (code, after[-1]) == (0, "stop")
    assert refuses(port)


def test_what_runs_at_sigterm_is_finished_on_both_protocols(launch, lazy):
    server = launch[0](lazy)
    with grpc.insecure_channel(server.grpc) as channel, Wire(server.ready["http_port"]) as idle:
        idle.ask(LIVE)
        rest = [slow_calls.rest(server.ready["http_port"], 4, str(number)) for number in range(3)]
        rpc = [slow_calls.infer(channel, 4, id=str(number)) for number in range(3)]
        assert eventually(lambda: in_flight(server.ready["http_port"]) == 6)
        server.process.send_signal(signal.SIGTERM)
        assert idle.closed
        assert [future.result().status for future in rest] == [200] * 3
        assert [future.result().id for future in rpc] == ["0", "1", "2"]
    code, after = ended(server)
    assert (code, after.count("request"), after[-1]) == (0, 6, "stop")


def test_a_request_that_is_on_its_way_at_sigterm_is_answered(launch, sealed):
    server = launch[0](sealed.path)
    port, whole = server.ready["http_port"], post()
    with Wire(port) as wire:
        wire.send(whole[:-10])
        assert eventually(lambda: metrics(port)["slipway_pending_bytes"] > 0)
        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: refuses(port))
        answer = wire.ask(whole[-10:])
        assert (answer.status, answer.closes) == (200, True)
        assert wire.closed
    assert ended(server) == (0, ["draining", "request", "stop"])


def test_what_runs_gets_no_more_than_the_grace(launch, lazy):
    server = launch[0](lazy, "--grace-seconds", "0.3")
    with grpc.insecure_channel(server.grpc) as channel, Wire(server.ready["http_port"]) as stuck:
        stuck.send(head("/v2/models/tiny/infer", "content-length: 9"))
        rest = [slow_calls.rest(server.ready["http_port"], 16) for _ in range(4)]
        rpc = slow_calls.infer(channel, 16)
        assert eventually(lambda: in_flight(server.ready["http_port"]) == 5)
        server.process.send_signal(signal.SIGTERM)
        assert all(isinstance(future.exception(), (AssertionError, ConnectionResetError)) for future in rest)
        assert rpc.exception().code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        assert stuck.closed
    out, errors = server.process.communicate(timeout=30)
    assert (server.process.returncode, errors) == (0, "")
    assert [json.loads(line)["code"] for line in out.splitlines() if '"request"' in line].count("499") == 4


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_waits_for_nobody(launch, lazy, second):
    server = launch[0](lazy, "--drain-seconds", "60", "--grace-seconds", "60")
    with grpc.insecure_channel(server.grpc) as channel:
        rest = slow_calls.rest(server.ready["http_port"], 16)
        rpc = [slow_calls.infer(channel, 16) for _ in range(9)]
        assert eventually(lambda: in_flight(server.ready["http_port"]) == 10)
        server.process.send_signal(signal.SIGTERM)
        assert json.loads(server.process.stdout.readline())["event"] == "draining"
        server.process.send_signal(second)
        code, after = ended(server)
        assert isinstance(rest.exception(), (AssertionError, ConnectionResetError))
        assert all(future.exception() is not None for future in rpc)
    assert (code, after[-1]) == (0, "stop")


def test_sigint_does_not_wait_for_others_to_notice_and_finishes_what_runs(launch, lazy):
    server = launch[0](lazy, "--drain-seconds", "60")
    running = slow_calls.rest(server.ready["http_port"], 3)
    assert eventually(lambda: in_flight(server.ready["http_port"]) == 1)
    server.process.send_signal(signal.SIGINT)
    assert running.result().status == 200
    assert ended(server) == (0, ["draining", "request", "stop"])


def test_a_server_can_be_started_again_on_its_ports(launch, sealed):
    start, stop = launch
    server = start(sealed.path)
    ports = server.ready["http_port"], server.ready["grpc_port"]
    with Wire(ports[0]) as wire:
        assert wire.ask(post()).status == 200
        assert stop(server)[0] == 0
    again = start(sealed.path, "--http-port", str(ports[0]), "--grpc-port", str(ports[1]))
    assert (again.ready["http_port"], again.ready["grpc_port"]) == ports
    with Wire(ports[0]) as wire:
        assert wire.ask(post()).status == 200
    assert stop(again)[0] == 0


def test_the_ready_line_names_the_package_and_the_ports(server, sealed):
    assert events(server.lines) == ["start", "limits", "ready"]
    assert server.ready["package"] == f"sha256:{sealed.digest}"
    assert httpx.get(f"{server.http}/v2/health/ready").status_code == 200


def test_the_limits_are_told_at_the_start(server):
    limits = json.loads(server.lines[1])
    assert (limits["max_body_bytes"], limits["max_rows"], limits["max_queue"]) == (65536, 8, 256)


@pytest.mark.parametrize("port", ["--http-port", "--grpc-port"])
def test_a_taken_port_ends_the_start_in_one_line(capfd, sealed, port):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        assert main(["--package", str(sealed.path), *FREE, port, number], {}) == 1
    errors = capfd.readouterr().err.splitlines()
    assert errors[-1].startswith(f"can't listen on 127.0.0.1 port {number}: ")
    assert errors[-1].endswith(port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_is_not_this_machine_ends_the_start_in_one_line(capfd, sealed, host):
    assert main(["--package", str(sealed.path), *FREE, "--host", host], {}) == 1
    errors = capfd.readouterr().err.splitlines()
    assert errors[-1].startswith(f"can't listen on {host} port 0: ")
