"""The launcher: torchrun, that leaves nothing behind when the step that started it is killed."""

import subprocess
import sys

import pytest
from trainings import ROOT, lives, wait_for

pytest.importorskip("torch", reason="torch is not installed")

WORKER = """
import os, sys, time
from pathlib import Path
from components.processes.parent import end_with_parent
end_with_parent()
Path(sys.argv[1], os.environ["RANK"]).write_text(f"{os.getpid()} {os.environ['WORLD_SIZE']} {os.getppid()}")
time.sleep(60)
"""
STARTER = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'components.processes', *sys.argv[1:]])"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_it_starts_the_processes_and_ends_with_them_when_its_parent_is_killed(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "said").mkdir()
    options = ["--standalone", "--nproc-per-node", "2", str(tmp_path / "worker.py"), str(tmp_path / "said")]
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-c", STARTER, *options]
        environment = {"PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        starter = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: all((tmp_path / "said" / rank).is_file() for rank in "01") or starter.poll() is not None)
        wait_for(lambda: all((tmp_path / "said" / rank).read_text() for rank in "01"))
    finally:
        starter.kill()
        starter.wait()
    told = [(tmp_path / "said" / rank).read_text().split() for rank in "01"]
    assert [size for _, size, _ in told] == ["2", "2"]
    (launcher,) = {launcher for *_, launcher in told}
    wait_for(lambda: not any(lives(int(pid)) for pid in (launcher, *(worker for worker, *_ in told))))
