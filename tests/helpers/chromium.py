"""A real Chromium without a window, which tests drive by the DevTools protocol, over a pipe.

Everything here blocks. A test whose server runs in its own event loop calls it by `asyncio.to_thread`.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HOW_TO_INSTALL = "Chromium is not installed: apt-get install chromium"
PATIENCE_SECONDS = 20.0
"""A step that takes so long fails the test. No step is expected to take a tenth of it."""
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    # A page that was left is gone. Otherwise Chromium freezes it, and reports its connection as an error.
    "--disable-features=BackForwardCache",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_KEY_CODES = {
    "Enter": 13, "Escape": 27, "Tab": 9, "Backspace": 8, "Delete": 46, " ": 32,
    "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
}  # fmt: skip
_MODIFIERS = {"alt": 1, "ctrl": 2, "meta": 4, "shift": 8}


class PageError(Exception):
    """An exception of JavaScript, or an answer of the browser that is an error."""


class Page:
    """One tab, in a browser context of its own: it shares no storage with other tabs."""

    def __init__(self, browser: Chromium, context: str, target: str, session: str) -> None:
        self._browser = browser
        self._context = context
        self.target = target
        self._session = session
        self.errors: list[str] = []
        """Uncaught exceptions, and what the console was told by `console.error` or by the browser itself."""
        self.console: list[str] = []
        """Every line of the console."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends one command of the DevTools protocol, and returns the answer."""
        return self._browser.call(method, self._session, **parameters)

    def goto(self, url: str) -> None:
        """Opens the address, and returns when its document and its modules are loaded."""
        # about:blank in between: an address that differs by its fragment alone would load nothing.
        for each in ("about:blank", url):
            answer = self.call("Page.navigate", url=each)
            if "errorText" in answer:
                raise PageError(f"{each}: {answer['errorText']}")
            unwanted = "" if each != url else "about:blank"
            self.wait_for(f"document.readyState == 'complete' && location.href != {unwanted!r}")

    def reload(self) -> None:
        self.evaluate("window.isBeforeReload = true")
        self.call("Page.reload")
        self.wait_for("!window.isBeforeReload && document.readyState == 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of the expression, which may be a promise, or begin with `await`, and is JSON."""
        if expression.startswith("await "):
            expression = f"(async () => ({expression}))()"
        settings = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.call("Runtime.evaluate", expression=expression, **settings)
        if "exceptionDetails" in answer:
            raise PageError(_exception(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """The first true value of the expression, which is evaluated again and again."""
        deadline = time.monotonic() + seconds
        found, failure = None, ""
        while not found:
            try:
                found = self.evaluate(expression)
            except PageError as error:  # The page may be in the middle of loading.
                failure = f" {error}"
            if not found:
                if time.monotonic() > deadline:
                    raise AssertionError(f"never true: {expression}{failure}; errors of the page: {self.errors}")
                time.sleep(0.01)
        return found

    def click(self, x: float, y: float, *, touch: bool = False) -> None:
        if touch:
            self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
            self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click_on(self, selector: str) -> None:
        """Clicks on the middle of the first element that the selector finds, after scrolling to it."""
        x, y = self.evaluate(
            f"(() => {{ const element = document.querySelector({json.dumps(selector)});"
            " element.scrollIntoView({ block: 'nearest', behavior: 'instant' });"
            " const box = element.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        self.click(x, y)

    def type(self, text: str) -> None:
        """Types into the element that has the focus."""
        self.call("Input.insertText", text=text)

    def key(self, key: str, *modifiers: str) -> None:
        """Presses and releases a key by its name in JavaScript ("Enter", "ArrowLeft", "a"), with "shift" or others."""
        code = _KEY_CODES.get(key) or ord(key.upper())
        text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
        pressed = {
            "key": key,
            "code": f"Key{key.upper()}" if key.isalpha() and len(key) == 1 else "Space" if key == " " else key,
            "windowsVirtualKeyCode": code,
            "modifiers": sum(_MODIFIERS[name] for name in modifiers),
        }
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **pressed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def viewport(self, width: int, height: int, *, is_mobile: bool = False, scale: float = 1) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=is_mobile
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=is_mobile)

    def media(self, **features: str) -> None:
        """Sets media features, such as `prefers_color_scheme="dark"` or `prefers_reduced_motion="reduce"`."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)

    def screenshot(self, path: Path | str) -> Path:
        """Writes what is to be seen as a PNG."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return Path(path)

    def freeze(self) -> None:
        """Stops the page's timers and tasks, as the browser does with a tab that was in the background for long."""
        self.call("Page.setWebLifecycleState", state="frozen")

    def thaw(self) -> None:
        self.call("Page.setWebLifecycleState", state="active")

    def offline(self, is_offline: bool) -> None:
        """Takes the network from the page. Connections that are open stay open."""
        self.call("Network.enable")
        settings = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=is_offline, **settings)

    def close(self) -> None:
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)
        self._browser.pages.pop(self._session, None)

    def take(self, event: dict[str, Any]) -> None:
        """Notes an event of the DevTools protocol."""
        parameters = event["params"]
        match event["method"]:
            case "Runtime.exceptionThrown":
                self.errors.append(_exception(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                words = [str(each.get("value", each.get("description", ""))) for each in parameters["args"]]
                self.console.append(" ".join(words))
                if parameters["type"] in {"error", "assert"}:
                    self.errors.append(self.console[-1])
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                entry = parameters["entry"]
                # The browser asks for this on its own.
                if not entry.get("url", "").endswith("/favicon.ico"):
                    self.errors.append(f"{entry['text']} {entry.get('url', '')}")


class Chromium:
    """A browser as a process of its own, with an empty profile."""

    def __init__(self, program: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="zone-chromium-")
        self.pages: dict[str, Page] = {}
        self._number = 0
        self._received = bytearray()
        # The browser reads commands from its descriptor 3 and writes to 4. Each message ends with a zero byte.
        self._commands, self._answers, commands, answers = _pipes()
        exchange = f'exec "$@" 3<&{commands} 4>&{answers} {commands}<&- {answers}>&-'
        self._log = Path(self._folder, "log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", exchange, "chromium", program, *_FLAGS, f"--user-data-dir={self._folder}/profile"],
                pass_fds=(commands, answers),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        os.close(commands)
        os.close(answers)

    def page(self, width: int = 1280, height: int = 800) -> Page:
        """A new tab, with a storage of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        place = {"browserContextId": context, "width": width, "height": height}
        target = self.call("Target.createTarget", url="about:blank", **place)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, context, target, session)
        self.pages[session] = page
        page.viewport(width, height)
        return page

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Sends one command, and returns its answer. The events that come before the answer go to their pages."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        unsent = memoryview(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while unsent:
            unsent = unsent[os.write(self._commands, unsent) :]
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == self._number:
                break
            page = self.pages.get(answer.get("sessionId", ""))
            if page is not None and "method" in answer:
                page.take(answer)
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self, deadline: float, method: str) -> dict[str, Any]:
        while b"\0" not in self._received:
            readable, _, _ = select.select([self._answers], [], [], max(deadline - time.monotonic(), 0))
            if not readable:
                raise AssertionError(f"the browser did not answer {method}: {self._log.read_text()[-2000:]}")
            data = os.read(self._answers, 1 << 20)
            assert data, f"the browser has ended: {self._log.read_text()[-2000:]}"
            self._received += data
        text, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def close(self) -> None:
        # The browser ends when its pipe does.
        os.close(self._commands)
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)
        shutil.rmtree(self._folder, ignore_errors=True)


def start_chromium() -> Chromium:
    """Starts a browser, or skips the test with the line that installs it."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(HOW_TO_INSTALL)
    return Chromium(program)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests of a process. The `conftest.py` of a folder imports it, and `page`."""
    browser = start_chromium()
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture
def page(chromium: Chromium) -> Iterator[Page]:
    """A tab for one test."""
    page = chromium.page()
    try:
        yield page
    finally:
        page.close()


def _pipes() -> tuple[int, int, int, int]:
    """Two pipes: the ends that are ours, to write and to read, and the other ends, which are no descriptor below 10."""
    reading, ours_to_write = os.pipe()
    ours_to_read, writing = os.pipe()
    theirs = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (reading, writing)]
    os.close(reading)
    os.close(writing)
    return ours_to_write, ours_to_read, theirs[0], theirs[1]


def _exception(details: dict[str, Any]) -> str:
    thrown = details.get("exception", {})
    return str(thrown.get("description") or thrown.get("value") or details["text"])
