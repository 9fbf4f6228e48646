"""Headless Chromium for the page tests and for `tools/screenshots.py`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

# Without a screen or a display server, and silent: Chromium by itself looks for updates and syncs.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome: `$CHROMIUM`, or the first one found."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = [path for name in names if (path := shutil.which(name))]
    return os.environ.get("CHROMIUM") or next(iter(found), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the installed Chromium and close it again."""
    path = find_chromium()
    if path is None:
        raise RuntimeError("no Chromium found: install the package `chromium`, or set CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def set_theme(page: Page, theme: str) -> None:
    """Show the page "light" or "dark", as the reader's colour button does."""
    page.evaluate(
        """theme => {
            document.documentElement.dataset.theme = theme;
            document.documentElement.dataset.mode = theme;
        }""",
        theme,
    )


def typeset_all(page: Page) -> None:
    """Wait until MathJax has typeset the whole page, also what lies below the screen."""
    page.evaluate(
        """async () => {
            if (!window.MathJax?.startup?.promise) return;
            await MathJax.startup.promise;
            await MathJax.startup.document.lazyTypesetAll?.();
        }"""
    )


def unfold(page: Page) -> None:
    """Show what the page folds: solutions, and the code of hidden cells."""
    page.evaluate(
        """() => {
            for (const folded of document.querySelectorAll("details")) folded.open = true;
            for (const folded of document.querySelectorAll(".toggle-hidden"))
                folded.classList.remove("toggle-hidden");
        }"""
    )
