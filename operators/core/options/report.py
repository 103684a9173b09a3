"""Options of the report's page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from operators.core.options.declaration import OptionError, check_choices, section

__all__ = ["REPORT", "ReportOptions", "Viewer"]

REPORT = section("Report", 45)

Viewer = Literal["auto", "yes", "no"]

_FILE = Parameter(group=REPORT, metavar="FILE", show_default=False)


@dataclass(frozen=True)
class ReportOptions:
    """What report.html shows besides the study's own results.

    Attributes
    ----------
    viewer : {"auto", "yes", "no"}
        Whether report.html has a viewer of the volumes, which takes 2 to 5 MB. auto: yes, but no in a cohort.
    reference : Path or None
        CSV of reference percentiles, as `sarcomap analysis` writes it: cards show the percentile for sex, age and
        height.
    previous : Path or None
        report.json of an earlier examination of the same person: cards show the change.

    Raises
    ------
    OptionError
        For a file that does not exist.
    """

    viewer: Annotated[Viewer, Parameter(group=REPORT)] = "auto"
    reference: Annotated[Path | None, _FILE] = None
    previous: Annotated[Path | None, _FILE] = None

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("reference", "previous"):
            file = getattr(self, name)
            if file is not None and not file.is_file():
                raise OptionError(name, f"no file {file.name}", "a file", "Check the path.")
