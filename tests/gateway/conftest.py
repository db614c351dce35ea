"""Fixtures that several files share."""

from tests.support.chromium import browser, chromium

__all__ = ["browser", "chromium"]
