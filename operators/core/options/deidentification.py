"""Options of de-identification."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from operators.core.options.declaration import Flag, OptionError, section

__all__ = ["DEIDENTIFICATION", "KEY_VARIABLE", "WITHOUT_KEY", "Deidentification", "DeidentificationOptions"]

DEIDENTIFICATION = section("De-identification", 50)

KEY_VARIABLE = "SARCOMAP_DEIDENTIFY_KEY"
WITHOUT_KEY = (
    "de-identification without a secret key: anyone who has the original UIDs can compute the new ones and find out "
    f"whose results these are. Give --deidentify-key FILE or {KEY_VARIABLE}."
)

#: Safe in a PatientID (LO), a PatientName (PN) and a file name: no delimiters of any of them.
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_IN_SECTION = Parameter(group=DEIDENTIFICATION)


@dataclass(frozen=True)
class Deidentification:
    """How a study is de-identified (PS3.15 annex E, Basic Application Confidentiality Profile).

    Attributes
    ----------
    pseudonym : str or None
        Replaces the patient's name and identifier. If None, one is made from
        the study's UID and ``key``.
    key : str
        Secret from which new UIDs and pseudonyms are made (HMAC-SHA256). The
        same key, study and ``pseudonym`` give the same identifiers. Nobody without the key
        can test whether an identifier belongs to a given study. If the key is
        empty, anyone who knows the original UIDs can.
    keep_characteristics : bool
        Keep sex, age, size and weight (Retain Patient Characteristics
        Option). Without them, no index that needs the height can be computed.

    Raises
    ------
    OptionError
        For a pseudonym that cannot be used in a PatientID or a file name.
    """

    pseudonym: str | None = None
    key: str = field(default="", repr=False)
    keep_characteristics: bool = False

    def __post_init__(self) -> None:
        check_pseudonym(self.pseudonym)


@dataclass(frozen=True)
class DeidentificationOptions:
    """Whether and how outputs are de-identified.

    Attributes
    ----------
    deidentify : bool
        Leave name, identifier, dates and original UIDs out of every output (DICOM PS3.15, Basic Profile).
    pseudonym : str or None
        With --deidentify: replaces the patient's name and identifier.
    keep_characteristics : bool
        With --deidentify: keep sex, age, size and weight. Without them there is no TVI.
    deidentify_key : Path or None
        With --deidentify: file with the secret from which new UIDs are made. Default: the variable
        SARCOMAP_DEIDENTIFY_KEY.

    Raises
    ------
    OptionError
        For an option that needs ``deidentify`` but comes without it, or a pseudonym that cannot be used.
    """

    deidentify: Annotated[bool, Flag, _IN_SECTION] = False
    pseudonym: Annotated[str | None, Parameter(metavar="TEXT"), _IN_SECTION] = None
    keep_characteristics: Annotated[bool, Flag, _IN_SECTION] = False
    deidentify_key: Annotated[Path | None, Parameter(metavar="FILE"), _IN_SECTION] = field(
        default=None, metadata={"secret": True}
    )

    def __post_init__(self) -> None:
        if not self.deidentify:
            for name in ("pseudonym", "keep_characteristics", "deidentify_key"):
                if getattr(self, name):
                    raise OptionError(name, "given without deidentify", "both or neither", "Add --deidentify.")
        check_pseudonym(self.pseudonym)

    def chosen(self, environment: Mapping[str, str] = os.environ) -> Deidentification | None:
        """The de-identification that was chosen; None leaves the patient's data unchanged.

        The secret is read from the key file, or else from the environment.

        Raises
        ------
        OptionError
            When the key file cannot be read.
        """
        if not self.deidentify:
            return None
        key = environment.get(KEY_VARIABLE, "")
        if self.deidentify_key is not None:
            try:
                key = self.deidentify_key.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise OptionError(
                    "deidentify_key", f"not readable ({type(error).__name__})", "a text file", "Check the path."
                ) from error
        return Deidentification(self.pseudonym, key, self.keep_characteristics)


def check_pseudonym(pseudonym: str | None) -> None:
    """Raise `OptionError` for a pseudonym that cannot be used in a PatientID or a file name."""
    if pseudonym is not None and not _PSEUDONYM.fullmatch(pseudonym):
        raise OptionError(
            "pseudonym",
            f"{len(pseudonym)} characters, or some that are not allowed",
            "1 to 63 letters, digits, dots, dashes or underscores, the first a letter or digit",
            "Choose another pseudonym.",
        )
