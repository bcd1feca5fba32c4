"""Fixtures of the browser tests, and the table that they leave behind.

`serve(folder)` gives the address under which a folder is served, `book` that of the built book,
`offline_context(...)` a fresh browser context that reaches this machine only, with the log of what its
pages did.  A test that measures something calls `record_property("row", (page, {column: value}))`.
"""

from urllib.parse import urlsplit

import pytest
import yaml
from browsing import CHROMIUM, FLAGS, OUT, ROOT, SITE, Log, Server
from playwright.sync_api import sync_playwright
from report import Report

from tools.site.book_site import site_address


def pytest_configure(config):
    if not CHROMIUM.exists():
        raise pytest.UsageError(
            f"there is no browser at {CHROMIUM}: install Debian's package chromium, "
            "or set CHROMIUM to the path of another Chromium"
        )
    if not hasattr(config, "workerinput"):  # the process that hears of all tests
        config.pluginmanager.register(Report(OUT))


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window and without a network, with a fresh profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serve():
    """serve(folder) -> http://127.0.0.1:port, the same for the same folder, until the tests end."""
    servers = {}

    def serve(folder):
        if folder not in servers:
            servers[folder] = Server(folder)
        return servers[folder].url

    yield serve
    for server in servers.values():
        server.close()


@pytest.fixture(scope="session")
def book(serve, tmp_path_factory):
    """The address of the built book, under the path at which it is published (the 404 page needs it)."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    path = urlsplit(site_address(config["repository"]["url"])).path.strip("/")
    if not path:
        return serve(SITE)
    folder = tmp_path_factory.mktemp("host")
    (folder / path).symlink_to(SITE, target_is_directory=True)
    return f"{serve(folder)}/{path}"


@pytest.fixture
def offline_context(browser):
    """offline_context(**options) -> (context, log); Playwright's options for a new context."""
    contexts = []

    def offline_context(**options):
        context, log = browser.new_context(**options), Log()
        log.watch(context)
        contexts.append(context)
        return context, log

    yield offline_context
    for context in contexts:
        context.close()
