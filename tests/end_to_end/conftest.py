"""One local cloud for all end-to-end tests, the sample loaded into it once, and one real browser."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from infra.local.cloud import LocalCloud
from infra.local.run import credentials, run_sample
from shared.runtime.clients import Clients
from shared.settings import Settings

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MILLISECONDS = 30_000
RUN_SECONDS = 240

expect.set_options(timeout=WAIT_MILLISECONDS)


@pytest.fixture(scope="package")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The local cloud with every function; empty but for what tests put into it."""
    with LocalCloud(tmp_path_factory.mktemp("cloud"), environment=credentials()) as cloud:
        yield cloud


@pytest.fixture(scope="package")
def clients(cloud: LocalCloud) -> Iterator[Clients]:
    """The official clients on the local cloud."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        yield Clients(Settings())  # type: ignore[call-arg]


@dataclass(frozen=True)
class SampleRun:
    """What `make run ONCE=1` does: its exit code, and the summary that it leaves."""

    exit_code: int
    summary: dict[str, Any]


@pytest.fixture(scope="package")
def sample_run(cloud: LocalCloud, clients: Clients) -> SampleRun:
    """The sample, loaded through the functions."""
    exit_code = run_sample(cloud, once=True)
    return SampleRun(exit_code, json.loads((cloud.state / "run-summary.json").read_text()))


@pytest.fixture(scope="package")
def finished(cloud: LocalCloud, clients: Clients) -> Callable[[str], None]:
    """Waits until a run is done, however often Pub/Sub has to repeat it."""

    def wait(run_id: str) -> None:
        until = time.monotonic() + RUN_SECONDS
        while True:
            found = clients.progress.get(run_id)
            if found is not None and found.status == "done":
                return
            cloud.check()
            assert time.monotonic() < until, f"{run_id}: {found}"
            time.sleep(0.05)

    return wait


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A real browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visit(cloud: LocalCloud, chromium: Browser, tenant: str) -> Iterator[Callable[..., Page]]:
    """Opens pages as a person of the test's `tenant`; afterwards nothing may have gone wrong or gone elsewhere."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []
    home = cloud.url("dashboard").rstrip("/")

    def requested(url: str) -> None:
        if not url.startswith((home, "data:")):
            wrong.append(f"asked another host: {url}")

    def open_page(path: str = "", **options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(WAIT_MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security" in said.text else None)
        page.on("request", lambda request: requested(request.url))
        page.goto(f"{home}/t/{tenant}/{path}#token={cloud.token('ann@shop.test', tenant)}")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
