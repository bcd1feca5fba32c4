"""A server on this machine, a browser that reaches nothing else, and a log of what it tried."""

import os
import re
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
SITE = Path(os.environ.get("BROWSER_SITE", ROOT / "_build" / "html"))
OUT = ROOT / "_build" / "browser"  # the report, and the screenshots if they are asked for
PICTURES = os.environ.get("PICTURES") == "yes"  # they take a third of a page's time, and no rule needs them

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # The network cut off: no name and no address is found but this machine's.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
INSIDE = re.compile(r"(http|ws)://127\.0\.0\.1[:/]|data:|blob:|about:|chrome-error:")


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; keeps connections open, as real servers do, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    """One folder on a free port of 127.0.0.1, until `close`."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}"
        # the poll is how long `close` has to wait
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A page that is closed while it loads breaks its connections; that is no news."""


@dataclass
class Log:
    """What the pages of a browser context asked for, and what went wrong in them."""

    requests: list = field(default_factory=list)  # every address, in order
    outside: list = field(default_factory=list)  # those that are not on this machine
    errors: list = field(default_factory=list)  # console errors, uncaught errors, failed requests

    def watch(self, context):
        """Note everything that happens in the context from now on, service workers included."""
        context.on("request", lambda request: self.request(request.url))
        context.on("requestfailed", lambda r: self.errors.append(f"failed: {r.url} ({r.failure})"))
        context.on("response", self.response)
        context.on("console", self.console)
        context.on("weberror", lambda error: self.errors.append(f"uncaught: {error.error}"))
        context.on("page", lambda page: page.on("websocket", lambda ws: self.request(ws.url)))

    def request(self, url):
        self.requests.append(url)
        if not INSIDE.match(url):
            self.outside.append(url)

    def response(self, response):
        if response.status >= 400:
            self.errors.append(f"status {response.status}: {response.url}")

    def console(self, message):
        if message.type == "error":
            self.errors.append(f"console: {message.text}")

    def problems(self):
        """All that must not happen, as lines."""
        return [f"outside request: {url}" for url in self.outside] + self.errors
