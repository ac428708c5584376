"""A student at a real browser: the login form, the server's start, a notebook in JupyterLab."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from playwright.sync_api import Browser, BrowserType, Locator, Page, WebSocket, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
START_SECONDS = 120.0
LAB_SECONDS = 60.0
POLL_MILLISECONDS = 50
PROMPT_LOOKS = 20

# A context's default timeout is none for what is expected: that would be 5 s.
expect.set_options(timeout=LAB_SECONDS * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a display."""
    with sync_playwright() as playwright, launched(playwright.chromium) as browser:
        yield browser


@contextmanager
def launched(kind: BrowserType, *arguments: str) -> Iterator[Browser]:
    """One more browser of a kind that runs already; root needs it without its sandbox."""
    browser = kind.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server", *arguments])
    try:
        yield browser
    finally:
        browser.close()


class Student:
    """One student's browser window; used as a context, it is closed at the end.

    Attributes:
        name: the student's login name.
        page: the window.
    """

    def __init__(self, browser: Browser, url: str, name: str) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self._context = browser.new_context(viewport={"width": 1280, "height": 800}, device_scale_factor=1)
        self._context.set_default_timeout(LAB_SECONDS * 1000)
        self.page: Page = self._context.new_page()
        self._kernels: set[str] = set()
        self.page.on("websocket", self._watch)

    def __enter__(self) -> Student:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.close()

    def fill_in_login(self, password: str) -> Locator:
        """Open the login form, fill it in and return the button that is left to click."""
        self.page.goto(f"{self._url}/hub/login")
        self.page.fill("#username_input", self.name)
        self.page.fill("#password_input", password)
        return self.page.locator("#login_submit")

    def log_in(self, password: str) -> None:
        """Log in and stay on the hub's home page, without starting a server."""
        self.page.goto(f"{self._url}/hub/login?next=%2Fhub%2Fhome")
        self.page.fill("#username_input", self.name)
        self.page.fill("#password_input", password)
        self.page.click("#login_submit")
        self.page.wait_for_url(re.compile("/hub/home"))

    def log_in_at_server(self, password: str) -> None:
        """Go to the Lab of the server that runs, log in where that leads to, and wait for the Lab."""
        self.page.goto(f"{self._url}/user/{self.name}/lab")
        self.page.fill("#username_input", self.name)
        self.page.fill("#password_input", password)
        self.page.click("#login_submit")
        self.page.wait_for_url(re.compile(f"/user/{self.name}/lab"))
        self.wait_for_lab()

    def wait_for_lab(self) -> None:
        """Wait until JupyterLab is there, choosing the first profile where the hub offers several."""
        self._kernels.clear()
        form = self.page.locator("#spawn_form button[type=submit], #spawn_form input[type=submit]")
        lab = self.page.locator("#jp-main-dock-panel")
        expect(form.or_(lab).first).to_be_visible(timeout=START_SECONDS * 1000)
        if not lab.is_visible():
            form.first.click()
            expect(lab).to_be_visible(timeout=START_SECONDS * 1000)
        self._decline_news()

    def open_lab(self) -> None:
        """Go to the student's Lab, starting the server when it is stopped."""
        self.page.goto(f"{self._url}/hub/spawn/{self.name}?next=%2Fuser%2F{self.name}%2Flab")
        self.wait_for_lab()

    def _decline_news(self) -> None:
        news = self.page.locator(".Toastify__toast button", has_text="No")
        self.page.add_locator_handler(news, lambda button: button.first.click())

    def new_notebook(self) -> None:
        """Click a launcher's first notebook card, asking for a launcher where none is open, and wait for the kernel."""
        known = len(self._kernels)
        card = self.page.locator('.jp-LauncherCard[data-category="Notebook"]:visible').first
        launcher = self.page.locator('#filebrowser [data-command="launcher:create"]').first
        expect(card.or_(launcher).first).to_be_visible()
        if not card.is_visible():
            launcher.click()
        card.click()
        self._wait_for_kernel(known)

    def open_file(self, name: str) -> None:
        """Open a notebook of the home folder by double click in the file browser; Lab may have reopened it already."""
        self.page.locator(".jp-DirListing-item", has_text=name).dblclick()
        self._wait_for_kernel(0)

    def _wait_for_kernel(self, known: int) -> None:
        """Wait for the first words of one more kernel than known; Lab calls a kernel idle before it is connected."""
        end = time.monotonic() + LAB_SECONDS
        while len(self._kernels) <= known:
            assert time.monotonic() < end, f"no kernel answered within {LAB_SECONDS:g} s"
            self.page.wait_for_timeout(POLL_MILLISECONDS)
        indicator = self.page.locator(".jp-NotebookPanel:visible .jp-Notebook-ExecutionIndicator")
        expect(indicator).to_have_attribute("data-status", "idle")

    def _watch(self, socket: WebSocket) -> None:
        if "/channels" in socket.url:
            socket.on("framereceived", lambda _: self._kernels.add(socket.url))

    def run(self, code: str) -> Locator:
        """Type code into the active cell, run it, and return the place where its output will be."""
        notebook = self.page.locator(".jp-NotebookPanel:visible")
        number = int(notebook.locator(".jp-Cell.jp-mod-active").get_attribute("data-windowed-list-index") or 0)
        cell = notebook.locator(f'.jp-Cell[data-windowed-list-index="{number}"]')
        editor = cell.locator(".cm-content")
        end = time.monotonic() + LAB_SECONDS
        while True:
            # A Lab that is still setting itself up may empty a cell, even one that is just being run.
            editor.fill(code)
            editor.press("Shift+Enter")
            if self._runs(cell):
                return cell.locator(".jp-OutputArea-output")
            assert time.monotonic() < end, f"the cell did not run within {LAB_SECONDS:g} s"

    def _runs(self, cell: Locator) -> bool:
        """Say whether a cell runs or has run, for which its prompt has a star or a number; looks for a while."""
        for _unused in range(PROMPT_LOOKS):
            if (cell.locator(".jp-InputPrompt").first.text_content() or "").strip("[]: \u00a0"):
                return True
            self.page.wait_for_timeout(POLL_MILLISECONDS)
        return False

    def save(self, name: str) -> None:
        """Save the open notebook under that name, as the dialog of the first save asks for it."""
        self.page.keyboard.press("Control+s")
        dialog = self.page.locator(".jp-Dialog")
        dialog.locator("input[type=text]").fill(name)
        dialog.locator("button.jp-mod-accept").click()
        expect(self.page.locator(".lm-TabBar-tab.lm-mod-current", has_text=name).first).to_be_visible()
        expect(self.page.locator(".jp-NotebookPanel:visible.jp-mod-dirty")).to_have_count(0)

    def stop_server(self) -> None:
        """Click "Stop My Server" on the hub's home page and wait until it is stopped."""
        # The button works once the page's scripts are loaded.
        self.page.goto(f"{self._url}/hub/home", wait_until="networkidle")
        with self.page.expect_response(lambda response: response.request.method == "DELETE"):
            self.page.click("#stop")
        expect(self.page.locator("#start")).to_have_text(re.compile("Start My Server"), timeout=START_SECONDS * 1000)
        expect(self.page.locator("#stop")).to_be_hidden(timeout=START_SECONDS * 1000)

    def first_output(self, password: str) -> float:
        """Log in, wait for the Lab, open a new notebook and run a cell.

        Returns:
            Seconds from the click on the login button to the cell's output.
        """
        button = self.fill_in_login(password)
        begun = time.monotonic()
        button.click()
        self.wait_for_lab()
        self.new_notebook()
        expect(self.run("print(6 * 7)")).to_have_text("42\n")
        return time.monotonic() - begun

    def screenshot(self, folder: Path, name: str) -> Path:
        """Keep what the student sees as a picture and return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        self.page.screenshot(path=path)
        return path
