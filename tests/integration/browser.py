# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium, spoken to over its own debugging pipe: no port, no driver, no further package."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import time
import typing as t

Json = dict[str, t.Any]
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
DEADLINE = 60.0
# WCAG 2.2, 1.4.3: text against the nearest painted background.
FAINT = """
(() => {
  const colour = (text) => {
    const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a === undefined ? 1 : a];
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = colour(getComputedStyle(one).backgroundColor);
      if (found[3] === 1) return found;
    }
    return [255, 255, 255, 1];
  };
  return [...document.querySelectorAll('body *')]
    .filter((one) => one.checkVisibility() && !one.closest('script, style'))
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
    .map((one) => {
      const [a, b] = [light(colour(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), one.className || one.tagName, one.textContent.trim().slice(0, 40)];
    })
    .filter(([ratio]) => ratio < 4.5);
})()
"""
UNNAMED = """
[...document.querySelectorAll('input, a, summary, table, [role=img]')].filter((one) => !(
  one.ariaLabel || one.labels?.length || one.textContent.trim() || one.caption)).length
"""
# What the page's own policy stops, of an image that it is made to ask for.
BLOCKED = """new Promise((done) => {
  document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
  const image = new Image(); image.src = 'file:///nowhere.png'; document.body.append(image);
  setTimeout(() => done('nothing'), 2000);
})"""
ROWS = "[...document.querySelectorAll('tr.row')].filter((one) => one.checkVisibility()).map((one) => one.innerText)"


def program() -> str | None:
    """The browser's path, None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One tab."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number = 0
        self._rest = b""
        self._session = ""
        self.requested: list[str] = []

    def attach(self) -> None:
        """Open the tab, and note from now on what it asks for."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: t.Any) -> Json:
        self._number += 1
        message: Json = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        return self._until(lambda answer: answer.get("id") == self._number, method)

    def open(self, path: pathlib.Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Show a file. SCHEME is light, dark or print."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": "dark" if scheme == "dark" else "light"}]
        media = "print" if scheme == "print" else "screen"
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._until(lambda answer: answer.get("method") == "Page.loadEventFired", "load")

    def ask(self, expression: str) -> t.Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def unfold(self) -> None:
        self.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

    def rows(self) -> list[str]:
        """The rows of the page's table that can be seen, as text."""
        return t.cast(list[str], self.ask(ROWS))

    def picture(self, path: pathlib.Path) -> None:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def _until(self, wanted: t.Callable[[Json], bool], what: str) -> Json:
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            message, found, self._rest = self._rest.partition(b"\0")
            if not found:
                self._rest = message
                if select.select([self._answers], [], [], 1.0)[0]:
                    self._rest += os.read(self._answers, 1 << 20)
                continue
            answer = json.loads(message)
            if answer.get("method") == "Network.requestWillBeSent":
                self.requested.append(answer["params"]["request"]["url"])
            if wanted(answer):
                assert "error" not in answer, f"{what}: {answer['error']}"
                return t.cast(Json, answer.get("result", {}))
        raise TimeoutError(f"the browser has not answered {what} within {DEADLINE:.0f} s")


@contextlib.contextmanager
def started(profile: pathlib.Path) -> t.Iterator[Browser]:
    """A browser with a new PROFILE; gone afterwards."""
    found = program()
    assert found, f"no browser: install the package chromium (looked for {', '.join(NAMES)})"
    command_out, command_in = os.pipe()
    answer_out, answer_in = os.pipe()
    # The browser reads descriptor 3 and writes 4; sh cannot redirect numbers above 9.
    wiring = f'exec "$@" 3<&{command_out} 4>&{answer_in}'
    arguments = [found, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", wiring, "bash", *arguments],
        pass_fds=(command_out, answer_in),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_out)
    os.close(answer_in)
    try:
        browser = Browser(command_in, answer_out)
        browser.attach()
        yield browser
    finally:
        os.close(command_in)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(answer_out)
