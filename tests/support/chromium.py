"""Fixtures: one Chromium for all tests of the page of `/docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.support.docs_page import Browser, pictures, start


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = start(tmp_path_factory.mktemp("chromium"))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome, tmp_path: Path) -> Iterator[Browser]:
    """The browser; at the end its console must hold no complaint."""
    chromium.get_log("browser")
    chromium.set_window_size(1360, 1000)
    browser = Browser(chromium, pictures(tmp_path))
    browser.dark(on=False)
    yield browser
    assert browser.complaints() == []
