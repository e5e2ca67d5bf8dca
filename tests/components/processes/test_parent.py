"""A process that ends when the one that started it does, however that ended."""

import os
import signal
import subprocess
import sys

import pytest
from trainings import LOOKS, PAUSE, ROOT, lives, wait_for

from components.processes.parent import PARENT

CHILD = """
import time
from components.processes.parent import end_with_parent
end_with_parent()
print("ready", flush=True)
time.sleep({seconds})
"""
STARTER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
@pytest.mark.parametrize("number", [None, signal.SIGKILL], ids=["by-itself", "killed"])
def test_a_process_ends_with_its_parent(number):
    command = [sys.executable, "-c", STARTER, CHILD.format(seconds=int(LOOKS * PAUSE))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as parent:
        child = int(parent.stdout.readline())
        assert lives(child)
        if number:
            parent.send_signal(number)
        else:
            parent.stdin.write("\n")
            parent.stdin.flush()
        assert parent.wait() == -(number or 0)
    wait_for(lambda: not lives(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_process_whose_parent_ended_before_it_could_ask_ends_too():
    known = {**os.environ, PARENT: "1"}
    ended = subprocess.run([sys.executable, "-c", CHILD.format(seconds=60)], cwd=ROOT, env=known, check=False)
    assert ended.returncode == -signal.SIGTERM


def test_a_process_whose_parent_lives_goes_on():
    ended = subprocess.run([sys.executable, "-c", CHILD.format(seconds=0)], cwd=ROOT, capture_output=True, check=True)
    assert ended.stdout == b"ready\n"
