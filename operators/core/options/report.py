"""Options of the report's page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from operators.core.options.declaration import Flag, OptionError, check_choices, section

__all__ = ["PUBLISHED_REFERENCE", "REPORT", "ReportOptions", "Viewer"]

REPORT = section("Report", 45)

Viewer = Literal["auto", "yes", "no"]

PUBLISHED_REFERENCE = Path(__file__).parents[1] / "references" / "published.csv"
"""What has been published, in the format of ``--reference`` (docs/report.md)."""
_PUBLISHED_NAMES = ("published", PUBLISHED_REFERENCE.name)  # reports record the name of the file

_FILE = Parameter(group=REPORT, metavar="FILE", show_default=False)


@dataclass(frozen=True)
class ReportOptions:
    """What report.html shows besides the study's own results.

    Attributes
    ----------
    viewer : {"auto", "yes", "no"}
        Whether report.html has a viewer of the volumes, which takes 2 to 5 MB. auto: yes, but no in a cohort.
    reference : Path or None
        CSV of reference percentiles, as `sarcomap cohort reference` writes it: cards show the percentile for sex, age
        and height. published: means and SDs of the published cohort, which the package holds.
    previous : Path or None
        report.json of an earlier examination of the same person: cards show the change.
    pdf : bool
        Also write the printed page as report.pdf, and inside a DICOM object (report.pdf.dcm) for a PACS that shows
        neither segmentations nor structured reports. Needs the extra pdf.

    Raises
    ------
    OptionError
        For a file that does not exist, or a PDF without WeasyPrint.
    """

    viewer: Annotated[Viewer, Parameter(group=REPORT)] = "auto"
    reference: Annotated[Path | None, _FILE] = None
    previous: Annotated[Path | None, _FILE] = None
    pdf: Annotated[bool, Flag, Parameter(group=REPORT)] = False

    def __post_init__(self) -> None:
        check_choices(self)
        if self.reference is not None and not self.reference.is_file() and str(self.reference) in _PUBLISHED_NAMES:
            object.__setattr__(self, "reference", PUBLISHED_REFERENCE)
        for name in ("reference", "previous"):
            file = getattr(self, name)
            if file is not None and not file.is_file():
                raise OptionError(name, f"no file {file.name}", "a file", "Check the path.")
        if self.pdf and find_spec("weasyprint") is None:
            raise OptionError("pdf", "no WeasyPrint", "the package weasyprint", "Install sarcomap[pdf].")
