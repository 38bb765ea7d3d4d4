"""Chromium without a window, driven over the pipe of its DevTools protocol."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page at a time; ``errors`` are what its console reported since ``open``.

    Args:
        folder: for the browser's profile.
    """

    def __init__(self, folder: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command = [BROWSER, *options, f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
        # The protocol wants its pipe at 3 and 4.
        shell = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, *command], pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._number, self._left, self._session, self.errors = 0, b"", "", []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def open(self, path: Path, width: int = 1360, *, dark: bool = False, scripts: bool = True) -> None:
        """Opens a page in a window of a width and waits for it."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.errors = []
        self.call("Page.navigate", url=path.as_uri())
        self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def run(self, code: str):
        """The value of a JavaScript expression on the page."""
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def call(self, method: str, **parameters):
        """Calls a method of the protocol."""
        self._number += 1
        number, message = self._number, {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == number)
        assert "error" not in answer, answer
        return answer["result"]

    def _until(self, wanted):
        """Reads messages up to a wanted one, and notes what is an error."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            while b"\0" not in self._left:
                part = os.read(self._read, 1 << 20)
                assert part, "the browser has gone"
                self._left += part
            text, _, self._left = self._left.partition(b"\0")
            message = json.loads(text)
            about = message.get("params", {})
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(about["exceptionDetails"])
            if message.get("method") == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
                self.errors.append(about["args"])
            if message.get("method") == "Log.entryAdded" and about["entry"]["level"] == "error":
                self.errors.append(about["entry"])
            if wanted(message):
                return message
        raise AssertionError("the browser does not answer")

    def close(self) -> None:
        """Ends the browser."""
        self._session = ""
        self.call("Browser.close")
        self._process.wait(timeout=30)
        os.close(self._write)
        os.close(self._read)
