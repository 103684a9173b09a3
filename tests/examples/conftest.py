"""The small study and network of the application's tests."""

from tests.app.conftest import bundle, scanned, study

__all__ = ["bundle", "scanned", "study"]
