"""Options of an analysis. Each option is declared once, here.

The field gives type and default, its entry in the docstring is the help text,
and ``__post_init__`` checks the values. The command line, YAML and the record
in provenance.json derive from these declarations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from analysis.definitions import COVARIATES, CUT_OFFS, EWGSOP2, EXPOSURES, CutOffs
from analysis.errors import OptionError

__all__ = ["Options", "as_text"]


def _covariates(_: type, tokens: Sequence[Any]) -> tuple[str, ...]:
    text = tokens[-1].value
    names = json.loads(text) if text.startswith("[") else [name.strip() for name in text.split(",") if name.strip()]
    return () if names == ["none"] else tuple(map(str, names))


def _cut_offs(_: type, tokens: Sequence[Any]) -> CutOffs:
    text = tokens[-1].value
    if text in CUT_OFFS:
        return CUT_OFFS[text]
    import yaml  # imported here because the usual value is a name

    try:
        # The mapping of Options.as_plain (also valid YAML), or a file that holds one.
        given = yaml.safe_load(text if text.startswith("{") else Path(text).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise OptionError("cut_offs", text, f"{', '.join(CUT_OFFS)} or a YAML file", "Correct it.") from None
    needed = {field.name for field in fields(CutOffs) if field.default is MISSING}
    known = {field.name for field in fields(CutOffs)}
    if not isinstance(given, dict) or not needed <= set(given) <= known:
        raise OptionError("cut_offs", "not complete", f"keys {', '.join(sorted(known))}", "Correct them.")
    try:
        made: dict[str, Any] = {
            name: str(value) if name in ("name", "source") else float(value) for name, value in given.items()
        }
    except (TypeError, ValueError) as error:
        raise OptionError("cut_offs", str(error), "numbers in kg and kg/m2", "Correct them.") from None
    return CutOffs(**made)


def _fixed_cuts(_: type, tokens: Sequence[Any]) -> dict[str, tuple[float, float]]:
    cuts: dict[str, tuple[float, float]] = {}
    for token in tokens:
        text = token.value
        try:
            if text.startswith("{"):
                pairs = json.loads(text)
            else:
                name, _equals, numbers = text.partition("=")
                pairs = {name: numbers.split(",")}
            cuts |= {name: (float(low), float(high)) for name, (low, high) in pairs.items()}
        except (TypeError, ValueError):
            raise OptionError("fixed_cuts", text, "NAME=LOW,HIGH", "For example pa_ratio=0.41,0.48.") from None
    return cuts


_ONE_WORD = {"n_tokens": 1, "accepts_keys": False, "negative": ""}


@dataclass(frozen=True)
class Options:
    """Options of an analysis.

    Attributes
    ----------
    phenotypes : Path
        Table from MRI, one row per study: eid, tmv_cm3, pa_ratio, ...
    participants : Path
        Table of all other data, one row per person: eid, sex, age, grip_left_kg, ...
    out : Path
        Folder to write into. It is created if missing.
    adjust : tuple of str
        Covariates, separated by commas; or none, for crude models only.
    min_age : float
        Youngest age at imaging, in years.
    cut_offs : CutOffs
        Cut-offs of low strength and low mass: EWGSOP2, AWGS2019, or your own YAML file.
    fields : Path or None
        Your own map of columns, a YAML file like analysis/fields.yaml.
    fixed_cuts : mapping of str to (float, float), or None
        Fixed cuts of an exposure instead of its tertiles, e.g. pa_ratio=0.41,0.48. Repeatable.
    visit : str or None
        Imaging visit to analyse, if the table of phenotypes has several; for example 2.
    exclude : Path or None
        Studies to leave out: a table with eid, and perhaps visit and decision (rows with reject are left out), or one
        eid a line.
    censor_date : str or None
        Last day on which deaths are known, for Cox's model. Default: the day of the latest death.

    Raises
    ------
    OptionError
        If a value cannot be used.
    """

    phenotypes: Annotated[Path, Parameter(metavar="FILE")]
    participants: Annotated[Path, Parameter(metavar="FILE")]
    out: Annotated[Path, Parameter(metavar="DIR")]
    adjust: Annotated[
        tuple[str, ...], Parameter(metavar="NAMES", converter=_covariates, show_default=",".join, **_ONE_WORD)
    ] = COVARIATES
    min_age: Annotated[float, Parameter(metavar="YEARS", show_default=lambda years: f"{years:g}")] = 50.0
    cut_offs: Annotated[
        CutOffs, Parameter(metavar="NAME", converter=_cut_offs, show_default=lambda cuts: cuts.name, **_ONE_WORD)
    ] = EWGSOP2
    fields: Annotated[Path | None, Parameter(metavar="FILE")] = None
    fixed_cuts: Annotated[
        Mapping[str, tuple[float, float]] | None,
        Parameter(metavar="NAME=LOW,HIGH", converter=_fixed_cuts, show_default=False, **_ONE_WORD),
    ] = None
    censor_date: Annotated[str | None, Parameter(metavar="YYYY-MM-DD")] = None
    visit: Annotated[str | None, Parameter(metavar="N")] = None
    exclude: Annotated[Path | None, Parameter(metavar="FILE")] = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_age) or self.min_age < 0:
            raise OptionError("min_age", f"{self.min_age:g}", "years, 0 or more", "Give another age.")
        for name, (low, high) in (self.fixed_cuts or {}).items():
            if name not in EXPOSURES:
                raise OptionError(
                    "fixed_cuts", f"cuts of {name}", f"one of {', '.join(EXPOSURES)}", "Correct its name."
                )
            if not low < high:
                raise OptionError("fixed_cuts", f"{low:g} and {high:g}", "the lower one first", "Exchange them.")
        if self.censor_date is not None:
            try:
                date.fromisoformat(self.censor_date)
            except ValueError as error:
                raise OptionError("censor_date", str(error), "a day as YYYY-MM-DD", "Correct it.") from None

    def as_plain(self) -> dict[str, Any]:
        """Plain values for YAML and JSON. The command line's ``--config`` reads them."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        plain["adjust"] = list(self.adjust)
        plain["fixed_cuts"] = {name: list(cuts) for name, cuts in (self.fixed_cuts or {}).items()} or None
        return plain


def as_text(value: Any) -> str:
    """Convert a plain value (see `Options.as_plain`) to the command line's form."""
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
