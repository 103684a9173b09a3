"""The source of the files: a folder, or a zip archive that is read without unpacking it.

A zip from outside is treated as hostile. Names, number, sizes and ratios in its
directory are checked before anything is inflated, and each inflated size is
compared with the one in the directory.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO, Protocol, cast

from isal import isal_zlib

from operators.core.errors import ArchiveError, InputError

__all__ = ["DEFAULT_LIMITS", "ArchiveLimits", "Source", "open_source"]

_MEBIBYTE = 1024 * 1024
#: What is kept of a zip's inflated members until they are read for the second time: all of a study of UK Biobank.
_KEPT_BYTES = 256 * _MEBIBYTE
#: Empty slices deflate by up to 1032:1, so the ratio of small members is not checked.
_RATIO_FLOOR_BYTES = _MEBIBYTE
_ENCRYPTED_BIT = 0x1
_REPAIR = "Fetch the archive again and check its size or checksum."
_UNREADABLE: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    cast(type[Exception], isal_zlib.IsalError),  # declared as an exception instead of its type
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class ArchiveLimits:
    """How large a study may be before it is refused as an attack or a mistake.

    A UK Biobank neck-to-knee study has about 1,400 members and 110 MiB.

    Attributes
    ----------
    max_members : int
        Files in the archive.
    max_member_bytes, max_total_bytes : int
        Inflated size of one member and of all together. ``max_total_bytes``
        also limits the decoded pixels of a study.
    max_ratio : float
        Inflated over deflated size, for members above 1 MiB and for the whole archive.
    """

    max_members: int = 20_000
    max_member_bytes: int = 512 * _MEBIBYTE
    max_total_bytes: int = 4096 * _MEBIBYTE
    max_ratio: float = 200.0


DEFAULT_LIMITS = ArchiveLimits()


class Source(Protocol):
    """A named set of files that can be read one by one, from several threads."""

    @property
    def name(self) -> str:
        """This input's name in messages: its last path component."""

    def members(self) -> tuple[str, ...]:
        """Names of all files, relative to the input, sorted."""

    def broken_links(self) -> tuple[str, ...]:
        """Names of links to files that do not exist, sorted. They are no members."""

    def open(self, member: str) -> BinaryIO:
        """Open one file as a seekable binary stream."""


@contextmanager
def open_source(path: Path, limits: ArchiveLimits) -> Iterator[Source]:
    """Open a folder or a zip archive for reading.

    Raises
    ------
    InputError
        When the path does not exist, or is neither a folder nor a zip.
    ArchiveError
        When the archive is damaged, encrypted, unsafe or beyond the limits.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(
            path.name, f"cannot be read ({error.strerror})", "a folder or a zip archive of one study", "Check the path."
        ) from error
    if stat.S_ISDIR(mode):
        yield _Folder(path)
        return
    if not stat.S_ISREG(mode) or not _starts_like_zip(path):
        raise InputError(
            path.name,
            "neither a folder nor a zip archive",
            "a folder or a zip archive of one study",
            "Give the folder with the DICOM files, the archive as it was fetched, or NIfTI (.nii, .nii.gz). Unpack "
            "other archives, such as tar, first.",
        )
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ArchiveError(path.name, f"damaged zip archive ({error})", "a readable zip archive", _REPAIR) from error
    with archive:
        yield _Zip(archive, path, limits)


def _starts_like_zip(path: Path) -> bool:
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(2) == b"PK"
    except OSError as error:
        raise InputError(
            path.name, f"cannot be read ({error.strerror})", "a readable file", "Check its permissions."
        ) from error


class _Folder:
    """Regular files below a folder. Links are followed, and a folder that is reached twice is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.resolve().name
        self._broken: tuple[str, ...] = ()

    def broken_links(self) -> tuple[str, ...]:
        return self._broken

    def members(self) -> tuple[str, ...]:
        def refuse(error: OSError) -> None:
            raise InputError(
                self._relative(Path(error.filename)),
                f"cannot be listed ({error.strerror})",
                "a readable folder",
                "Check its permissions.",
            )

        found, broken = [], []
        seen: set[tuple[int, int]] = set()
        for folder, folders, names in os.walk(self._path, onerror=refuse, followlinks=True):
            folders.sort()  # so that the same one of two ways to a folder is taken everywhere
            here = os.stat(folder)
            if (here.st_dev, here.st_ino) in seen:  # links can lead in a circle
                folders.clear()
                continue
            seen.add((here.st_dev, here.st_ino))
            for name in names:
                file = Path(folder, name)
                # A pipe or a device would block or never end, and a broken link has no content.
                if file.is_file():
                    found.append(file.relative_to(self._path).as_posix())
                elif (
                    file.is_symlink() and not file.exists() and not name.startswith(".")
                ):  # editors lock files with such links
                    broken.append(file.relative_to(self._path).as_posix())
        self._broken = tuple(sorted(broken))
        return tuple(sorted(found))

    def open(self, member: str) -> BinaryIO:
        try:
            return (self._path / member).open("rb")
        except OSError as error:
            raise InputError(
                f"{self.name}, file {member}",
                f"cannot be read ({error.strerror})",
                "a readable file",
                "Check its permissions.",
            ) from error

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._path).as_posix() if path != self._path else self.name


class _Zip:
    """Members of a zip archive whose directory has passed every check."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, limits: ArchiveLimits) -> None:
        self._archive = archive
        self.name = path.name
        infos = archive.infolist()
        self._check_total(infos, path.stat().st_size, limits)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            self._check_member(info, limits)
            if info.is_dir():
                continue
            if info.filename in self._infos:
                raise ArchiveError(
                    self.name, f"two members named {info.filename}", "each name once in an archive", _REPAIR
                )
            self._infos[info.filename] = info
        # Headers are read before it is known which images are needed, and then the images. Inflating a study twice
        # took a third of the time to load it.
        self._kept: dict[str, bytes] = {}
        self._room = _KEPT_BYTES
        self._lock = Lock()

    def members(self) -> tuple[str, ...]:
        return tuple(sorted(self._infos))

    def broken_links(self) -> tuple[str, ...]:
        return ()

    def open(self, member: str) -> BinaryIO:
        """Read the whole member into memory. Its size has been checked against the limits."""
        with self._lock:
            content = self._kept.pop(member, None)
            if content is not None:
                self._room += len(content)
                return io.BytesIO(content)
        content = self._inflated(member)
        with self._lock:
            if len(content) <= self._room:
                self._kept[member] = content
                self._room -= len(content)
        return io.BytesIO(content)

    def _inflated(self, member: str) -> bytes:
        info = self._infos[member]
        try:
            with self._archive.open(info) as stream:
                if info.compress_type == zipfile.ZIP_DEFLATED:
                    # Takes half the time of zlib. The attribute is private, but every Python that we support has it.
                    stream._decompressor = isal_zlib.decompressobj(-zlib.MAX_WBITS)  # type: ignore[attr-defined]
                # One byte more than the directory states is enough to detect that it is wrong.
                content = stream.read(info.file_size + 1)
        except _UNREADABLE as error:
            raise ArchiveError(f"{self.name}, member {member}", f"damaged ({error})", "intact data", _REPAIR) from error
        if len(content) != info.file_size:
            raise ArchiveError(
                f"{self.name}, member {member}",
                f"inflates to {len(content)} bytes or more",
                f"the {info.file_size} bytes that the archive's directory states",
                _REPAIR,
            )
        return content

    def _check_total(self, infos: list[zipfile.ZipInfo], archive_bytes: int, limits: ArchiveLimits) -> None:
        remedy = "Check where the archive comes from. If you trust it, unpack it and give the folder."
        if len(infos) > limits.max_members:
            raise ArchiveError(self.name, f"{len(infos)} members", f"at most {limits.max_members}", remedy)
        total = sum(info.file_size for info in infos)
        if total > limits.max_total_bytes:
            raise ArchiveError(
                self.name, f"inflates to {total} bytes", f"at most {limits.max_total_bytes} bytes", remedy
            )
        # Compared with the size of the file, because members that share their bytes would make the ratios in the
        # directory look harmless.
        if total > _RATIO_FLOOR_BYTES and total > limits.max_ratio * archive_bytes:
            raise ArchiveError(
                self.name,
                f"inflates {total / archive_bytes:.0f}-fold",
                f"at most {limits.max_ratio:.0f}-fold",
                remedy,
            )

    def _check_member(self, info: zipfile.ZipInfo, limits: ArchiveLimits) -> None:
        where = f"{self.name}, member {info.orig_filename!r}"
        remedy = "Do not use this archive; check where it comes from."
        if _leaves_the_archive(info.orig_filename):
            raise ArchiveError(where, "a name that points outside the archive", "a relative name without '..'", remedy)
        if info.flag_bits & _ENCRYPTED_BIT:
            raise ArchiveError(
                where, "encrypted", "an archive without a password", "Decrypt the archive, then give the result."
            )
        # bzip2 and LZMA do not limit the output of one step.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArchiveError(
                where,
                f"compression method {info.compress_type}",
                "stored or deflated members",
                "Pack the study again with an ordinary zip tool.",
            )
        if info.file_size > limits.max_member_bytes:
            raise ArchiveError(
                where, f"inflates to {info.file_size} bytes", f"at most {limits.max_member_bytes} bytes", remedy
            )
        if info.file_size > _RATIO_FLOOR_BYTES and info.file_size > limits.max_ratio * max(info.compress_size, 1):
            raise ArchiveError(
                where,
                f"inflates {info.file_size / max(info.compress_size, 1):.0f}-fold",
                f"at most {limits.max_ratio:.0f}-fold",
                remedy,
            )


def _leaves_the_archive(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return parts[0] == "" or ".." in parts or "\0" in name or re.match(r"[A-Za-z]:", name) is not None
