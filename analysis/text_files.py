"""Text files of tables and lists: their encoding, a spreadsheet's line about the delimiter, and rows that are cut."""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from itertools import chain
from pathlib import Path

import pandas as pd

from analysis.errors import DataError

__all__ = ["check_lengths", "encoding_of", "stated_separator", "text_of", "unclosed_quote"]

# Excel reads this line, and some programs write it for Excel.
_SEPARATOR = re.compile(r'"?sep=([,;\t])"?\s*', re.IGNORECASE)


def encoding_of(path: Path) -> str:
    """UTF-16 where a file begins with its byte order mark, as a spreadsheet's "Unicode text" does; else UTF-8."""
    with pd.io.common.get_handle(path, "rb", compression="infer", is_text=False) as opened:
        begins = opened.handle.read(2)
    return "utf-16" if begins in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"


def text_of(path: Path, errors: str = "strict") -> str:
    """The text of a file in UTF-8 or UTF-16."""
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    return content.decode(encoding, errors)


def stated_separator(line: str) -> str | None:
    """The delimiter that a first line such as ``sep=;`` states; None for any other line.

    Examples
    --------
    >>> stated_separator("sep=;"), stated_separator("eid;sex")
    (';', None)
    """
    stated = _SEPARATOR.fullmatch(line)
    return stated[1] if stated else None


def check_lengths(path: Path, encoding: str, separator: str, expected: int, skip: int = 0) -> None:
    """Check that every row of a file has as many values as its header.

    pandas fills short rows with missing values without a word, so that a file that was cut off, or a text with a line
    break and without quotes, would lose values or people unseen.

    Parameters
    ----------
    path : Path
        May be compressed.
    encoding, separator : str
    expected : int
        Values in a row.
    skip : int
        Lines before the header.

    Raises
    ------
    DataError
        For the first row with another number of values, or a quotation mark that nobody closed.
    """
    with pd.io.common.get_handle(path, "r", compression="infer", encoding=encoding) as opened:
        lines = iter(opened.handle)
        number = -1 - skip  # the header is no data row
        for line in lines:
            if not line.strip(" \r\n"):
                continue
            if '"' in line:  # a quoted text may hold delimiters and line breaks
                try:
                    count = len(next(csv.reader(chain([line], lines), delimiter=separator, skipinitialspace=True)))
                except csv.Error as error:
                    raise unclosed_quote(path, error) from None
            else:
                count = line.count(separator) + 1
            number += 1
            if count == expected or number < 1:
                continue
            last = next(lines, None) is None
            raise DataError(
                path.name,
                f"data row {number}{', the last one,' if last else ''} has {count} values, the header {expected} names",
                "as many values as names",
                "The file was probably cut off: fetch or export it again."
                if last
                else "Export it again, with texts that contain the delimiter or a line break in quotes.",
            )


def unclosed_quote(path: Path, error: csv.Error) -> DataError:
    """The error of a file that has a quotation mark without its second one: the rest of it is one value."""
    found = f"not readable ({error}), probably a quotation mark without its second one"
    return DataError(path.name, found, "texts with both", "Export it again.")
