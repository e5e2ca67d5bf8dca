"""A local container engine, and images that run there as the ``restricted`` Pod Security standard has it."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: Beyond the standard: a root file system that can't be written but for a /tmp of its own, and no network.
RESTRICTED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
RESTRICTED += ["--user", "65532:65532", "--network", "none"]


def docker(*arguments, seconds=60):
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


@dataclass(frozen=True)
class Image:
    """An image in the local engine.

    Attributes:
        name: Its repository and tag.
        about: What the engine knows of it.
    """

    name: str
    about: dict

    def run(self, *arguments, entrypoint=None, flags=()):
        """Run a restricted container to its end."""
        chosen = ["--entrypoint", entrypoint] if entrypoint else []
        return docker("run", "--rm", *RESTRICTED, *flags, *chosen, self.name, *arguments, seconds=300)

    def python(self, code, *arguments):
        """Run Python in a restricted container and return what it printed as JSON."""
        done = self.run("-c", code, *arguments, entrypoint="python3")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def running(self, *arguments) -> Iterator[str]:
        """Run a restricted container in the background; yield its name."""
        name = f"slipway-test-{secrets.token_hex(6)}"
        started = docker("run", "--detach", "--name", name, *RESTRICTED, self.name, *arguments)
        assert started.returncode == 0, started.stderr
        try:
            yield name
        finally:
            docker("rm", "--force", name)
