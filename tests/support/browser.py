"""A headless Chromium, driven over its DevTools protocol: what a person sees and does, without a framework."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # loopback only
    "--remote-debugging-port=0",
)
DOMAINS = ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility")
#: Seconds for the browser to start, and for a page to come to a state.
PATIENCE = 30.0


def program() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Page:
    """One tab.

    Args:
        socket: Open to the tab.

    Attributes:
        events: Every event so far, as the protocol sent it.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        for domain in DOMAINS:
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv(timeout=PATIENCE))).get("id") != number:
            self.events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression; a promise is awaited."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, expression: str) -> Any:
        """Return the value of an expression as soon as it is true."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := self.evaluate(expression):
                return value
            time.sleep(0.02)
        raise TimeoutError(f"{expression} did not become true; the page says: {self.text('main')}")

    def open(self, url: str, ready: str) -> None:
        """Go to a page and wait for an expression."""
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && ({ready})")

    def text(self, selector: str) -> str:
        """Return the visible text of an element."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText.trim()"))

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        self.stroke(selector, [(0.5, 0.5)])

    def stroke(self, selector: str, points: list[tuple[float, float]]) -> None:
        """Drag the pressed mouse over points of an element, each a share of its width and height."""
        box = self.evaluate(
            f"(e => (e.scrollIntoView({{block: 'center'}}), e.getBoundingClientRect().toJSON()))"
            f"(document.querySelector({json.dumps(selector)}))"
        )
        places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
        mouse = {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **places[0], **mouse)
        for place in places[1:]:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", **place, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **places[-1], **mouse)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press a key on whatever has the focus."""
        parameters = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **parameters, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def fill(self, selector: str, text: str) -> None:
        """Replace the content of a field by typing."""
        self.evaluate(f"(e => (e.focus(), e.select()))(document.querySelector({json.dumps(selector)}))")
        if text:
            self.call("Input.insertText", text=text)
        else:
            self.key("Delete", 46)

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def resize(self, width: int, height: int = 900) -> None:
        """Give the tab a size in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features: str) -> None:
        """Set media features, such as ``prefers_color_scheme="dark"``."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def controls(self) -> dict[str, list[str]]:
        """Return the names that assistive technology reads, by role, of everything that takes the focus."""
        found: dict[str, list[str]] = {}
        for node in self.call("Accessibility.getFullAXTree")["nodes"]:
            properties = {entry["name"]: entry["value"].get("value") for entry in node.get("properties", [])}
            if properties.get("focusable") and node["role"]["value"] != "RootWebArea":
                found.setdefault(node["role"]["value"], []).append(node["name"]["value"])
        return found

    def requests(self) -> list[str]:
        """Return the URL of every request so far but those that hold their answer themselves."""
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        urls = [entry["request"]["url"] for entry in sent]
        return [url for url in urls if urlsplit(url).scheme not in ("data", "blob")]

    def complaints(self) -> list[str]:
        """Return what the console shows as errors and warnings: exceptions, violated policies, failed requests."""
        found = []
        for event in self.events:
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(parameters["exceptionDetails"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
                found.append(str(parameters["args"]))
            elif event["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
                found.append(parameters["entry"]["text"])
        return found


class Browser:
    """A running Chromium; ``address`` is the host and port of its DevTools."""

    def __init__(self, address: str) -> None:
        self._address = address

    @contextmanager
    def page(self) -> Iterator[Page]:
        """Open an empty tab while the block runs."""
        tab = urllib3.request("PUT", f"http://{self._address}/json/new?about:blank", timeout=PATIENCE).json()
        with connect(tab["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            yield Page(socket)
        urllib3.request("GET", f"http://{self._address}/json/close/{tab['id']}", timeout=PATIENCE)


@contextmanager
def running(path: str, profile: Path) -> Iterator[Browser]:
    """Run a Chromium while the block runs.

    Args:
        path: The program.
        profile: A folder of its own.
    """
    with (profile / "chromium.log").open("wb") as log:
        command = [path, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield Browser(_address(process, profile))
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _address(process: "subprocess.Popen[bytes]", profile: Path) -> str:
    written = profile / "DevToolsActivePort"
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        if written.exists() and (lines := written.read_text().splitlines()):
            return f"127.0.0.1:{lines[0]}"
        time.sleep(0.05)
    raise RuntimeError(f"Chromium did not start: {(profile / 'chromium.log').read_text(errors='replace')[-2000:]}")
