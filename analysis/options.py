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

from analysis.definitions import COVARIATES, CUT_OFFS, EWGSOP2, EXPOSURES, OUTCOMES, CutOffs
from analysis.errors import OptionError

__all__ = ["FILE", "Options", "as_text"]

FILE = "file"
"""Value of ``measurement_error`` whose key is a file."""


def _covariates(_: type, tokens: Sequence[Any]) -> tuple[str, ...]:
    text = tokens[-1].value
    names = json.loads(text) if text.startswith("[") else [name.strip() for name in text.split(",") if name.strip()]
    return () if names == ["none"] else tuple(map(str, names))


def _read_as(_: type, tokens: Sequence[Any]) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for token in tokens:
        text = token.value
        if text.startswith("{"):
            told |= {str(name): [str(word) for word in words] for name, words in json.loads(text).items()}
        else:
            name, _equals, words = text.partition("=")
            told[name.strip()] = [word.strip() for word in words.split(",")]
    for name, words in told.items():
        if words[0] not in ("factor", "number"):
            raise OptionError(
                "read_as", f"{name}={words[0]}", "NAME=factor or NAME=number", "For example smoking=factor,-3."
            )
    return told


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


def _errors(_: type, tokens: Sequence[Any]) -> dict[str, str]:
    told: dict[str, str] = {}
    for token in tokens:
        if token.value.startswith("{"):
            told |= {str(name): str(value) for name, value in json.loads(token.value).items()}
            continue
        name, equals, number = token.value.partition("=")
        # A file stands for every measure that it has.
        told[name.strip() if equals else token.value] = number.strip() if equals else FILE
    for name, number in told.items():
        try:
            if number != FILE and not float(number.removesuffix("%")) > 0:
                raise ValueError
        except ValueError:
            wanted = "NAME=SD or NAME=PERCENT%, above 0"
            raise OptionError("measurement_error", f"{name}={number}", wanted, "For example pa_ratio=2.1%.") from None
    return told


_SWITCH = Parameter(negative="", show_default=False)
_ONE_WORD = {"n_tokens": 1, "accepts_keys": False, "negative": ""}


@dataclass(frozen=True)
class Options:
    """Options of an analysis.

    Attributes
    ----------
    phenotypes : Path
        Table from MRI, one row per study: eid, tmv_cm3, pa_ratio, ...; or the word amra, for AMRA's thigh volumes in
        the participants table.
    participants : Path
        Table of all other data, one row per person: eid, sex, age, grip_left_kg, ...
    out : Path
        Folder to write into. It is created if missing.
    exposures : tuple of str
        Exposures, separated by commas: any measured column.
    outcomes : tuple of str
        Outcomes, separated by commas: any column of 0 and 1.
    adjust : tuple of str
        Covariates, separated by commas: any column, e.g. age,sex,tmv_cm3; or none, for crude models only.
    interactions : tuple of str
        Columns whose interaction with every exposure is tested, besides sex.
    sites : tuple of str
        Columns that say where or on which scanner people were imaged; --full shows what they change. Default: centre,
        where the table has it.
    events : tuple of str
        Columns with the date of a first event after imaging, for --full. Default: fall_date and fracture_date, where
        the table has them.
    read_as : mapping of str to list of str, or None
        How to read a column of your own: factor or number, then the codes that mean missing. Repeatable.
    min_age : float
        Youngest age at imaging, in years.
    cut_offs : CutOffs
        Cut-offs of low strength and low mass: EWGSOP2, AWGS2019, or your own YAML file.
    fields : Path or None
        Your own map of columns, a YAML file like analysis/fields.yaml.
    measurement_error : mapping of str to str, or None
        Random error of an exposure, as SD or per cent of its mean, e.g. pa_ratio=2.1%; or the phenotypes.csv of a
        bundle's held-out results. --full corrects odds ratios for it. Repeatable.
    fixed_cuts : mapping of str to (float, float), or None
        Fixed cuts of an exposure instead of its tertiles, e.g. pa_ratio=0.41,0.48. Repeatable.
    censor_date : str or None
        Last day on which deaths are known. Default: the day of the latest death in the participants' table.
    visit : str or None
        Imaging visit to analyse, if the table of phenotypes has several; for example 2.
    instance : int or None
        Visit (UK Biobank: instance) of the participants' data. Default: that of the phenotypes, else 2, the first
        imaging visit.
    exclude : Path or None
        Studies to leave out: a table with eid, and perhaps visit and decision (rows with reject are left out), or one
        eid a line.
    withdrawn : Path or None
        Identifiers of people who withdrew their consent, one a line. They are left out of everything.
    paper : bool
        Only the tables that the paper has.
    full : bool
        Every further analysis too; takes longer.
    bootstraps : int
        Resampled cohorts of --full.
    seed : int
        Seed of the random numbers of bootstraps and imputations.

    Raises
    ------
    OptionError
        If a value cannot be used.
    """

    phenotypes: Annotated[Path, Parameter(metavar="FILE")]
    participants: Annotated[Path, Parameter(metavar="FILE")]
    out: Annotated[Path, Parameter(metavar="DIR")]
    exposures: Annotated[
        tuple[str, ...], Parameter(metavar="NAMES", converter=_covariates, show_default=",".join, **_ONE_WORD)
    ] = tuple(EXPOSURES)
    outcomes: Annotated[
        tuple[str, ...], Parameter(metavar="NAMES", converter=_covariates, show_default=",".join, **_ONE_WORD)
    ] = tuple(OUTCOMES)
    adjust: Annotated[
        tuple[str, ...], Parameter(metavar="NAMES", converter=_covariates, show_default=",".join, **_ONE_WORD)
    ] = COVARIATES
    interactions: Annotated[
        tuple[str, ...], Parameter(metavar="NAMES", converter=_covariates, show_default=False, **_ONE_WORD)
    ] = ()
    sites: Annotated[
        tuple[str, ...], Parameter(metavar="NAMES", converter=_covariates, show_default=False, **_ONE_WORD)
    ] = ()
    events: Annotated[
        tuple[str, ...], Parameter(metavar="NAMES", converter=_covariates, show_default=False, **_ONE_WORD)
    ] = ()
    read_as: Annotated[
        Mapping[str, Sequence[str]] | None,
        Parameter(metavar="NAME=KIND,CODES", converter=_read_as, show_default=False, **_ONE_WORD),
    ] = None
    min_age: Annotated[float, Parameter(metavar="YEARS", show_default=lambda years: f"{years:g}")] = 50.0
    cut_offs: Annotated[
        CutOffs, Parameter(metavar="NAME", converter=_cut_offs, show_default=lambda cuts: cuts.name, **_ONE_WORD)
    ] = EWGSOP2
    fields: Annotated[Path | None, Parameter(metavar="FILE")] = None
    measurement_error: Annotated[
        Mapping[str, str] | None,
        Parameter(metavar="NAME=SD|FILE", converter=_errors, show_default=False, **_ONE_WORD),
    ] = None
    fixed_cuts: Annotated[
        Mapping[str, tuple[float, float]] | None,
        Parameter(metavar="NAME=LOW,HIGH", converter=_fixed_cuts, show_default=False, **_ONE_WORD),
    ] = None
    censor_date: Annotated[str | None, Parameter(metavar="YYYY-MM-DD")] = None
    visit: Annotated[str | None, Parameter(metavar="N")] = None
    instance: Annotated[int | None, Parameter(metavar="N")] = None
    exclude: Annotated[Path | None, Parameter(metavar="FILE")] = None
    withdrawn: Annotated[Path | None, Parameter(metavar="FILE")] = None
    paper: Annotated[bool, _SWITCH] = False
    full: Annotated[bool, _SWITCH] = False
    bootstraps: Annotated[int, Parameter(metavar="N")] = 100
    seed: Annotated[int, Parameter(metavar="N")] = 1

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_age) or self.min_age < 0:
            raise OptionError("min_age", f"{self.min_age:g}", "years, 0 or more", "Give another age.")
        for field, names in (("exposures", self.exposures), ("outcomes", self.outcomes)):
            if not names:
                raise OptionError(field, "none", "at least one column", "Leave the option out for the paper's.")
        for field in ("exposures", "outcomes", "adjust"):
            names = getattr(self, field)
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise OptionError(field, f"{twice[0]} twice", "each name once", "Remove one of them.")
        both = [name for name in self.outcomes if name in (*self.exposures, *self.adjust)]
        if both:
            raise OptionError("outcomes", f"{both[0]} is also an exposure or a covariate", "one of them", "Choose one.")
        if self.paper and self.full:
            raise OptionError("full", "given with --paper", "one of the two", "Leave one out.")
        if not 10 <= self.bootstraps <= 100_000:
            raise OptionError("bootstraps", f"{self.bootstraps}", "10 to 100000", "Give another number.")
        if self.seed < 0:
            raise OptionError("seed", f"{self.seed}", "0 or more", "Give another number.")
        if self.instance is not None and not 0 <= self.instance <= 9:
            raise OptionError("instance", f"{self.instance}", "a visit number, such as 2 or 3", "Correct it.")
        for name, (low, high) in (self.fixed_cuts or {}).items():
            if name not in self.exposures:
                raise OptionError(
                    "fixed_cuts", f"cuts of {name}", f"one of {', '.join(self.exposures)}", "Correct its name."
                )
            if not low < high:
                raise OptionError("fixed_cuts", f"{low:g} and {high:g}", "the lower one first", "Exchange them.")
        if self.censor_date is not None:
            try:
                day = date.fromisoformat(self.censor_date)
            except ValueError as error:
                raise OptionError("censor_date", str(error), "a day as YYYY-MM-DD", "Correct it.") from None
            if day.year > date.today().year + 2:
                # Follow-up would be as long as the date is wrong.
                raise OptionError(
                    "censor_date", f"{day}, in the future", "a day until which deaths are known", "Correct it."
                )

    def as_plain(self) -> dict[str, Any]:
        """Plain values for YAML and JSON. The command line's ``--config`` reads them."""
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        plain |= {
            name: list(getattr(self, name)) for name in ("exposures", "outcomes", "adjust", "interactions", "sites")
        }
        plain["read_as"] = {name: list(words) for name, words in (self.read_as or {}).items()} or None
        plain["fixed_cuts"] = {name: list(cuts) for name, cuts in (self.fixed_cuts or {}).items()} or None
        return plain


def as_text(value: Any) -> str:
    """Convert a plain value (see `Options.as_plain`) to the command line's form."""
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
