"""Format the results of the further analyses (``--full``) as tables of text."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from analysis.text_tables import TextTable

__all__ = ["FURTHER"]

FURTHER: dict[str, Callable[[pd.DataFrame], TextTable]] = {}
