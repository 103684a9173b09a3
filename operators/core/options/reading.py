"""Options of reading a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Parameter

from operators.core.options.declaration import Flag
from operators.core.options.person import READING, PersonOptions

__all__ = ["READING", "ReadingOptions"]


@dataclass(frozen=True)
class ReadingOptions:
    """What a study may lack, and what is taken from its folder.

    Attributes
    ----------
    allow_missing_slices : bool
        Interpolate one or two missing slices in a row between their neighbours, and flag it, instead of refusing the
        study.
    one_frame_of_reference : bool
        Take all series to lie in one coordinate system although they name different frames of reference, as after an
        anonymiser that gave each series one of its own. Flagged.
    study_uid : str or None
        Which study to read where there are several: its Study Instance UID, or the key that the message about them
        gives.
    person : PersonOptions or None
        What is known of the person where the header is silent.
    """

    allow_missing_slices: Annotated[bool, Flag, Parameter(group=READING)] = False
    one_frame_of_reference: Annotated[bool, Flag, Parameter(group=READING)] = False
    # Command lines have it as --study-uid, together with DICOMweb. A record says only that it was given.
    study_uid: Annotated[str | None, Parameter(parse=False)] = field(default=None, metadata={"secret": True})
    # As above: command lines that process one study have --sex, --age, --height-cm and --weight-kg.
    person: Annotated[PersonOptions | None, Parameter(parse=False)] = field(default=None, metadata={"secret": True})
