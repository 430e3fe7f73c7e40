"""A real browser: Debian's Chromium, without a window."""

import shutil
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import async_playwright


@asynccontextmanager
async def chromium():
    """Yield a browser, which takes a second to start."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("chromium is needed, which Debian has: bash .ci/apt chromium")
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
