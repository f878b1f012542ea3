"""A headless Chromium, controlled through a pipe: it renders pages as people see them.

Speaks the DevTools protocol over `--remote-debugging-pipe`: JSON with a zero
byte at its end, no port and no library.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from edge.errors import GuardError

_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--hide-scrollbars --remote-debugging-pipe"
)


def chromium() -> str | None:
    """The program, if one is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One browser with one page; use as a context manager."""

    def __init__(self) -> None:
        """Raises GuardError if no Chromium is installed."""
        program = chromium()
        if program is None:
            raise GuardError("expected Chromium, found none on the path")
        self._profile = tempfile.TemporaryDirectory(prefix="framegate-browser-")
        read_fd, self._to = os.pipe()
        self._from, write_fd = os.pipe()
        # the browser reads from 3 and writes to 4, whatever numbers the pipes have here
        script = f'exec 3<&{read_fd} 4>&{write_fd}; exec "$0" "$@"'
        flags = [*_FLAGS.split(), f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *flags],
            pass_fds=(read_fd, write_fd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read_fd)
        os.close(write_fd)
        self._rest = b""
        self._number = 0
        self._session = ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.ask("Page.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._to)  # it ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        os.close(self._from)
        self._profile.cleanup()

    def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call a method of the protocol; its result.

        Raises:
            GuardError: the browser refuses, or has ended.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                if "error" in message:
                    raise GuardError(f"{method}: {message['error']['message']}")
                result: dict[str, Any] = message["result"]
                return result

    def go(self, url: str) -> None:
        """Load a page to its end."""
        self.ask("Page.navigate", url=url)
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    def look(self, *, width: int, dark: bool = False, scripts: bool = True) -> None:
        """Set the screen width in CSS pixels, the colour scheme, and whether scripts run."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = "dark" if dark else "light"
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)

    def shoot(self, file: Path) -> None:
        """The whole page as a PNG."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._from, 1 << 16)
            if not data:
                raise GuardError("the browser is gone")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed
