"""Fixtures of the acceptance tests, for here too."""

from tests.acceptance.conftest import _offline_libraries_and_signals, whet

__all__ = ["_offline_libraries_and_signals", "whet"]
