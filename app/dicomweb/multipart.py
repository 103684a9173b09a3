"""A multipart answer, part by part into files, as it comes (RFC 2046 section 5.1, PS3.18 section 8.6.1.2)."""

from __future__ import annotations

import email.message
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

__all__ = ["parts_into"]

_CHUNK = 256 * 1024
_MAX_HEADER_BYTES = 64 * 1024


def parts_into(folder: Path, answer: requests.Response, count: Callable[[int], None]) -> Iterator[Path]:
    """Write each part into a file of its own.

    Nothing is parsed, and no more of a part than a few chunks is in memory.

    Parameters
    ----------
    folder : Path
    answer : Response
        Asked for with ``stream=True``. Some servers send a single object without wrapping; it is taken as one part.
    count : callable
        Told of the bytes of the part so far, before they are written; it ends everything by raising.

    Yields
    ------
    Path
        A part that is whole, ``00001.dcm`` first.

    Raises
    ------
    ValueError
        For an answer of another kind.
    requests.exceptions.ChunkedEncodingError
        When its last delimiter is missing: servers that close the connection in place of giving a length (Orthanc's
        plugin does) leave nothing else that tells a broken answer from a whole one; the last image would lack rows.
    """
    message = email.message.Message()
    message["Content-Type"] = answer.headers.get("Content-Type", "")
    boundary = message.get_boundary()
    if message.get_content_type() == "application/dicom":
        yield _written(folder / "00001.dcm", answer.iter_content(_CHUNK), count)
        return
    if message.get_content_type() != "multipart/related" or not boundary:
        raise ValueError("not multipart/related")
    body = _Body(answer.iter_content(_CHUNK), f"\r\n--{boundary}".encode())
    before = number = 0
    for piece in body.content():  # what stands before the first delimiter means nothing, and may not be endless either
        before += len(piece)
        count(before)
    while body.another_part():
        body.skip_header()
        number += 1
        yield _written(folder / f"{number:05d}.dcm", body.content(), count)


def _written(path: Path, pieces: Iterator[bytes], count: Callable[[int], None]) -> Path:
    size = 0
    with path.open("wb") as stream:
        for piece in pieces:
            size += len(piece)
            count(size)
            stream.write(piece)
    return path


class _Body:
    """What has come and is not yet used."""

    def __init__(self, chunks: Iterator[bytes], delimiter: bytes) -> None:
        self._chunks = chunks
        self._delimiter = delimiter
        self._data = bytearray(b"\r\n")  # the first delimiter may stand at the very beginning

    def another_part(self) -> bool:
        """After a delimiter: whether it was not the last."""
        while len(self._data) < 2:
            self._more()
        return not self._data.startswith(b"--")

    def skip_header(self) -> None:
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if len(self._data) > _MAX_HEADER_BYTES:
                raise ValueError("a part without an end of its header")
            self._more()
        del self._data[: end + 4]

    def content(self) -> Iterator[bytes]:
        """Up to the next delimiter, which is taken as well."""
        while (end := self._data.find(self._delimiter)) < 0:
            # The delimiter may straddle two chunks.
            if ready := max(0, len(self._data) - len(self._delimiter) + 1):
                yield bytes(self._data[:ready])
                del self._data[:ready]
            self._more()
        yield bytes(self._data[:end])
        del self._data[: end + len(self._delimiter)]

    def _more(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise requests.exceptions.ChunkedEncodingError("no closing boundary")
        self._data += chunk
