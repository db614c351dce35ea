"""The page of `/docs` for tests: a stand-in for the gateway, and one Chromium that looks at it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from bentod.gateway import docs
from bentod.gateway.openapi import document
from bentod.wire.messages import ApiRoute, RouteTable

WITHIN_S = 30.0

# ── what is served ───────────────────────────────────────────────────────────────────────────────


def api(name: str, prefix: str = "", **changed: Any) -> ApiRoute:
    """An API."""
    values: dict[str, Any] = {"name": name, "service": "s", "method": name, "path": f"{prefix}/{name}"}
    return ApiRoute(**values | changed)


def table(*apis: ApiRoute, prefix: str = "", **changed: Any) -> RouteTable:
    """A table of APIs."""
    values: dict[str, Any] = {
        "number": 1,
        "generation": 1,
        "name": "embeddings",
        "version": "1.4.0",
        "description": "Sentence vectors, on CPU.",
        "path_prefix": prefix,
        "docs": True,
        "types": {},
        "apis": apis,
        "services": (),
    }
    return RouteTable(**values | changed)


class Gateway(ThreadingHTTPServer):
    """Serves the page and one document, answers calls, and remembers every request."""

    daemon_threads = True

    def __init__(self, routes: RouteTable, reply: Callable[[Handler, bytes], None]) -> None:
        self.page = docs.page()
        self.openapi = json.dumps(document(routes)).encode()
        super().__init__(("127.0.0.1", 0), Handler)
        self.prefix = routes.path_prefix
        self.reply = reply
        self.seen: list[tuple[str, str, bytes]] = []
        self.headers: list[dict[str, str]] = []
        self.release = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}{self.prefix}"

    def calls(self) -> list[tuple[str, str]]:
        """Paths and bodies of the calls."""
        return [(path, body.decode("latin-1")) for method, path, body in self.seen if method == "POST"]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Gateway
    timeout = WITHIN_S

    def do_GET(self) -> None:
        self.server.seen.append(("GET", self.path, b""))
        if self.path == self.server.prefix + "/docs":
            self.answer(200, docs.headers(self.server.page), self.server.page)
        elif self.path == self.server.prefix + "/openapi.json":
            self.answer(200, {"Content-Type": "application/json"}, self.server.openapi)
        else:
            self.answer(404, {}, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.server.seen.append(("POST", self.path, body))
        with contextlib.suppress(ConnectionError):
            self.server.reply(self, body)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """A whole answer."""
        self.begin(status, headers | {"Content-Length": str(len(body))})
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """The head of an answer; without a length it ends with the connection."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests look at what was seen."""


@contextlib.contextmanager
def serving(routes: RouteTable, reply: Callable[[Handler, bytes], None]) -> Iterator[Gateway]:
    """A gateway that answers every call with `reply`."""
    server = Gateway(routes, reply)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        server.shutdown()
        thread.join(WITHIN_S)
        server.server_close()


# ── the browser ──────────────────────────────────────────────────────────────────────────────────


class Browser:
    """One Chromium, driven through its driver."""

    def __init__(self, driver: webdriver.Chrome, pictures: Path) -> None:
        self.driver = driver
        self.pictures = pictures

    def open(self, url: str) -> None:
        self.driver.get("about:blank")
        self.driver.get(url)
        self.until(lambda: self.all("main h2, main [role=alert], main .muted:not(:has(a))"), "the page to be drawn")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str = "body") -> str:
        return self.one(selector).text

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def content(self, selector: str) -> str:
        """The text of an element, shown or not."""
        return str(self.one(selector).get_property("textContent"))

    def value(self) -> str:
        return str(self.one("#body").get_property("value"))

    def write(self, text: str) -> None:
        self.one("#body").clear()
        self.one("#body").send_keys(text)

    def click(self, selector: str) -> None:
        self.one(selector).click()

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def picture(self, name: str) -> None:
        """A picture of the page, in a window of its own height, for people to look at."""
        size = self.driver.get_window_size()
        self.driver.set_window_size(size["width"], 1500)
        self.run("scrollTo(0, 0)")
        self.driver.save_screenshot(str(self.pictures / f"{name}.png"))
        self.driver.set_window_size(size["width"], size["height"])

    def dark(self, on: bool) -> None:
        """Prefers dark colours, or not."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """What the console holds: errors of the script and broken rules of the policy. Answers of 4xx do not count."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if "responded with a status" not in entry["message"]
        ]

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"


def pictures(folder: Path) -> Path:
    """Where pictures go: `$BENTOD_SCREENSHOTS`, or a folder of the test."""
    chosen = Path(os.environ.get("BENTOD_SCREENSHOTS") or folder)
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


def start(profile: Path) -> webdriver.Chrome:
    """A Chromium with an empty profile; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not found or not driver:
        pytest.skip("no chromium and chromedriver on this machine (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = found
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
        f"--user-data-dir={profile}", "--window-size=1360,1000",
    ):  # fmt: skip
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
