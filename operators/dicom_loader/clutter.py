"""Files of an export that are no DICOM and need no word: manifests, texts, thumbnails, viewers on discs."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

__all__ = ["is_clutter"]

_CLUTTER_NAME = re.compile(
    r"^(\..*|thumbs\.db|desktop\.ini|ehthumbs\.db|dicomdir.*|manifest.*|readme.*|licen[cs]e.*|lockfile|version|"
    r"autorun.*)$",
    re.IGNORECASE,
)
#: Folders that macOS and network storage make.
_CLUTTER_FOLDERS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"})
#: First bytes of programs, archives, pictures and documents, as discs with a viewer hold them.
_OTHER_FORMATS = (
    *(b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
    *(b"PK\3\4", b"SQLite format 3", b"%PDF", b"{\\rtf", b"\xd0\xcf\x11\xe0"),
    *(b"\x89PNG", b"GIF8", b"\xff\xd8\xff"),
)
#: Endings of the names of DICOM files: none, a usual suffix, or the last component of a UID.
_DICOM_SUFFIX = re.compile(r"^(|\.dcm|\.dicom|\.dic|\.ima|\.mr|\.\d+)$", re.IGNORECASE)


def is_clutter(file: str, opening: bytes) -> bool:
    """Whether a file that does not begin like DICOM is none, by its name and its first bytes."""
    name = PurePosixPath(file).name
    if _CLUTTER_NAME.match(name) or _CLUTTER_FOLDERS.intersection(PurePosixPath(file).parts):
        return True
    suffix = PurePosixPath(name).suffix.lower()
    if not _DICOM_SUFFIX.match(suffix):
        return True
    if suffix == "" and opening.startswith(_OTHER_FORMATS):
        return True
    # A text file without a suffix is a note. Zeros or binary data are a damaged DICOM file.
    return suffix == "" and opening != b"" and all(byte in b"\t\n\r" or byte >= 0x20 for byte in opening)
