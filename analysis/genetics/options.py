"""Options of the export. Each is declared once, here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from cyclopts import Parameter

from analysis.errors import OptionError

__all__ = ["TOOLS", "ExportOptions", "RankNormal", "Tool"]

Tool = Literal["regenie", "plink2", "bolt", "fastgwa"]
TOOLS: tuple[str, ...] = get_args(Tool)
RankNormal = Literal["sample", "sex"]

_FILE = Parameter(metavar="FILE")


@dataclass(frozen=True)
class ExportOptions:
    """Options of the export.

    Attributes
    ----------
    tool : {"regenie", "plink2", "bolt", "fastgwa"}
        Tool that will read the files.
    out : Path
        Folder to write into. It is created if missing.
    participants : Path or None
        Table with sex, age, height, centre and date of imaging, for the covariate file. Without it, none is written.
    fields : Path or None
        Your own map of its columns, a YAML file like analysis/fields.yaml.
    traits : str or None
        Columns to export, separated by commas, or all. Default: the phenotypes, without single structures.
    rank_normal : tuple of {"sample", "sex"}
        Also write each trait rank-inverse-normal transformed, in the exported sample or within sex. Repeatable.
    visit : str or None
        Imaging visit to export, if the table has several.
    exclude : Path or None
        Studies to leave out, as saved from the page of `sarcomap cohort qc`.
    withdrawn : Path or None
        Participants who have withdrawn: one eid a line.
    bridge : Path or None
        Table of two columns, eid and the identifier in the genetic data.
    force : bool
        Export traits although a network trained on synthetic data has measured them.
    """

    tool: Annotated[Tool, Parameter(name="--for", negative="")]
    out: Annotated[Path, Parameter(name=("-o", "--out"), metavar="DIR")]
    participants: Annotated[Path | None, _FILE] = None
    fields: Annotated[Path | None, _FILE] = None
    traits: Annotated[str | None, Parameter(metavar="NAMES")] = None
    rank_normal: Annotated[tuple[RankNormal, ...], Parameter(negative="", show_default=False)] = ()
    visit: Annotated[str | None, Parameter(metavar="N")] = None
    exclude: Annotated[Path | None, _FILE] = None
    withdrawn: Annotated[Path | None, _FILE] = None
    bridge: Annotated[Path | None, _FILE] = None
    force: Annotated[bool, Parameter(negative="", show_default=False)] = False

    def __post_init__(self) -> None:
        if self.tool not in TOOLS:
            raise OptionError("tool", self.tool, f"one of {', '.join(TOOLS)}", "Correct --for.")
        if "sex" in self.rank_normal and self.participants is None:
            raise OptionError("rank_normal", "sex", "a table with the sex of each participant", "Add --participants.")

    def files(self) -> dict[str, Path]:
        """The files that are read, by option."""
        names = ("participants", "fields", "exclude", "withdrawn", "bridge")
        return {name: path for name in names if (path := getattr(self, name)) is not None}
