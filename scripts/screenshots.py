"""Takes the picture of the proxy's waiting pages for the docs, as a phone shows them: python scripts/screenshots.py"""

from __future__ import annotations

from html import escape
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "images" / "proxy" / "src" / "campus_proxy" / "data"
PICTURE = ROOT / "docs" / "images" / "waiting-pages.png"
CHROMIUM = "/usr/bin/chromium"
PHONE = (390, 560)
GAP = 12


def frames() -> str:
    """A page with the waiting pages beside each other."""
    width, height = PHONE
    style = f"border: 1px solid #999; border-radius: 12px; width: {width}px; height: {height}px; margin: {GAP // 2}px"
    files = [PAGES / f"{name}.html" for name in ("hub_away", "server_away", "starting")]
    texts = [escape(file.read_text(encoding="utf-8")) for file in files]
    body = "".join(f'<iframe style="{style}" srcdoc="{text}"></iframe>' for text in texts)
    return f'<body style="margin: 0; display: flex">{body}'


def main() -> None:
    """Take the picture."""
    width, height = PHONE
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"])
        page = browser.new_page(viewport={"width": 3 * (width + GAP + 2), "height": height + GAP + 2})
        page.set_content(frames())
        page.wait_for_load_state("networkidle")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
