import json
import signal
import socket
import time

import httpx
import pytest

GOOD = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}]}
INFER = "/v2/models/tiny/infer"


def events(lines):
    return [json.loads(line)["event"] for line in lines]


def test_sigterm_lets_a_running_request_end_and_exits_with_zero(launch, sealed):
    start, _ = launch
    server = start(sealed.path)
    body = json.dumps(GOOD).encode()
    with (
        socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=10) as running,
        socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=10) as idle,
    ):
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        running.sendall(head.encode() + body[:10])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert json.loads(server.process.stdout.readline())["event"] == "draining"
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=10)
        running.sendall(body[10:])
        assert running.recv(65536).startswith(b"HTTP/1.1 200 OK")
    out, err = server.process.communicate(timeout=20)
    assert (server.process.returncode, err) == (0, "")
    assert events(out.splitlines()) == ["request", "stop"]


def test_a_running_request_gets_no_more_than_the_grace(launch, sealed):
    start, stop = launch
    server = start(sealed.path, "--grace-seconds", "1")
    with socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=10) as stuck:
        stuck.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode())
        time.sleep(0.2)
        begun = time.monotonic()
        code, out, _ = stop(server)
    assert code == 0
    assert time.monotonic() - begun < 5
    assert '"code":"499"' in out


def test_the_ready_line_names_the_package_and_the_ports(server, sealed):
    assert events(server.lines) == ["start", "ready"]
    assert server.ready["package"] == f"sha256:{sealed.digest}"
    assert httpx.get(f"{server.http}/v2/health/ready").status_code == 200
    assert all(len(line) < 200 for line in server.lines)


@pytest.mark.parametrize("port", ["--http-port", "--grpc-port"])
def test_a_taken_port_ends_the_start_in_one_line(capfd, sealed, port):
    from serving.__main__ import main

    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = ["--host", "127.0.0.1", "--http-port", "0", "--grpc-port", "0"]
        number = str(taken.getsockname()[1])
        assert main(["--package", str(sealed.path), *free, port, number]) == 1
    errors = capfd.readouterr().err.splitlines()
    assert errors[-1].startswith(f"can't listen on 127.0.0.1 port {number}: ")
    assert errors[-1].endswith(port)
