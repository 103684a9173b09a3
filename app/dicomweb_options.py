"""Options for a study from a DICOMweb server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from operators.core.options.declaration import Flag, OptionError, section

__all__ = ["DicomwebOptions"]

_IN_SECTION = Parameter(group=section("A study from a DICOMweb server", 60))


@dataclass(frozen=True)
class DicomwebOptions:
    """Source of a study that is not a file or folder.

    Attributes
    ----------
    dicomweb : str or None
        Root of the service that has the study, such as https://pacs.example/dicom-web.
    study_uid : str or None
        Study Instance UID. The study's Dixon MR series are fetched; of files, those of this study are read.
    stow : bool
        Send segmentation, SR and derived series back to the server.
    dicomweb_auth : Path or None
        Login file: 'token: ...', or 'user: ...' and 'password: ...'. Default: SARCOMAP_DICOMWEB_TOKEN, or
        SARCOMAP_DICOMWEB_USER and SARCOMAP_DICOMWEB_PASSWORD.
    dicomweb_ca : Path or None
        PEM certificates to verify the server with. Default: the system's.

    Raises
    ------
    OptionError
        If the options contradict each other.
    """

    dicomweb: Annotated[str | None, Parameter(metavar="URL"), _IN_SECTION] = None
    study_uid: Annotated[str | None, Parameter(metavar="UID"), _IN_SECTION] = None
    stow: Annotated[bool, Flag, _IN_SECTION] = False
    dicomweb_auth: Annotated[Path | None, Parameter(metavar="FILE"), _IN_SECTION] = None
    dicomweb_ca: Annotated[Path | None, Parameter(metavar="FILE"), _IN_SECTION] = None

    def __post_init__(self) -> None:
        if self.dicomweb is None:
            for name in ("stow", "dicomweb_auth", "dicomweb_ca"):
                if getattr(self, name):
                    raise OptionError(name, "given without a server", "both or neither", "Add --dicomweb URL.")
        elif not self.study_uid:
            raise OptionError("dicomweb", "given without --study-uid", "both", "Add --study-uid UID.")
