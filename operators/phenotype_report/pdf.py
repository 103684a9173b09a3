"""The printed page as a PDF, made by WeasyPrint, without a browser."""

from __future__ import annotations

import logging
import sys
from typing import Any

from operators.core.errors import UsageError

__all__ = ["check_pdf", "make_pdf"]


def check_pdf() -> None:
    """Check that WeasyPrint and the libraries that it loads are there.

    Raises
    ------
    UsageError
        When one is missing.
    """
    _weasyprint()


def make_pdf(page: str) -> bytes:
    """The pages of an HTML document, as they are printed.

    Parameters
    ----------
    page : str
        Refers to nothing outside itself: other addresses are not opened.

    Raises
    ------
    UsageError
        When WeasyPrint, or a library that it loads, is missing.
    """
    weasyprint = _weasyprint()
    # It warns of each rule of the style sheet that is meant for screens.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=("data",))
    pdf: bytes = weasyprint.HTML(string=page, url_fetcher=fetcher).write_pdf()
    return pdf


def _weasyprint() -> Any:
    try:
        import weasyprint
        import weasyprint.urls
    except (ImportError, OSError) as error:  # OSError: it does not find Pango
        sys.modules.pop("weasyprint", None)  # a half-imported package would fail otherwise at the next try
        raise UsageError(
            "--pdf",
            f"WeasyPrint or one of its libraries is missing ({type(error).__name__})",
            "the extra pdf, and the libraries Pango and HarfBuzz",
            "Install sarcomap[pdf] and the system packages that docs/report.md names, or leave out --pdf.",
        ) from error
    return weasyprint
