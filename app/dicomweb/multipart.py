"""Write a multipart answer to files while it arrives (RFC 2046 section 5.1, PS3.18 section 8.6.1.2)."""

from __future__ import annotations

import email.message
from collections.abc import Callable, Iterator
from pathlib import Path

import requests

__all__ = ["parts_into"]

_CHUNK = 256 * 1024
_MAX_HEADER_BYTES = 64 * 1024


def parts_into(folder: Path, answer: requests.Response, count: Callable[[int], None]) -> Iterator[Path]:
    """Write each part to its own file.

    Nothing is parsed, and memory holds only a few chunks of a part at a time.

    Parameters
    ----------
    folder : Path
    answer : Response
        Requested with ``stream=True``. Some servers send a single object without multipart framing; it counts as
        one part.
    count : callable
        Called with the bytes of the part so far, before they are written. It stops the transfer by raising.

    Yields
    ------
    Path
        A complete part, ``00001.dcm`` first.

    Raises
    ------
    ValueError
        If the answer is of another kind.
    requests.exceptions.ChunkedEncodingError
        If the last delimiter is missing. Some servers close the connection instead of giving a length (Orthanc's
        plugin does). Then only the delimiter tells a complete answer from a broken one, whose last image lacks rows.
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
    for piece in body.content():  # a preamble has no meaning, but it must not be endless
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
    """Bytes that have arrived and are not used yet."""

    def __init__(self, chunks: Iterator[bytes], delimiter: bytes) -> None:
        self._chunks = chunks
        self._delimiter = delimiter
        self._data = bytearray(b"\r\n")  # the first delimiter may be at the very beginning

    def another_part(self) -> bool:
        """Whether another part follows. Call it after a delimiter."""
        while len(self._data) < 2:
            self._more()
        return not self._data.startswith(b"--")

    def skip_header(self) -> None:
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            if len(self._data) > _MAX_HEADER_BYTES:
                raise ValueError("the header of a part has no end")
            self._more()
        del self._data[: end + 4]

    def content(self) -> Iterator[bytes]:
        """Read up to and including the next delimiter."""
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
