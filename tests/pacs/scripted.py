"""A DICOMweb server with scripted answers that no real server gives, or not on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["BOUNDARY", "Answer", "as_json", "multipart", "scripted"]

BOUNDARY = "limit"


@dataclass(frozen=True)
class Answer:
    """An answer that is sent chunk by chunk without a length, so that it may be endless."""

    chunks: Iterable[bytes]
    kind: str = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


def as_json(*items: dict[str, Any]) -> Answer:
    return Answer([json.dumps(items).encode()], "application/dicom+json")


def multipart(*parts: bytes) -> Answer:
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return Answer([piece for part in parts for piece in (head, part)] + [f"\r\n--{BOUNDARY}--".encode()])


@contextmanager
def scripted(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[str]:
    """Serve ``answer(path, query)`` for GET and POST; yields the root's URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            said = answer(parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()})
            self.send_response(200)
            self.send_header("Content-Type", said.kind)
            self.end_headers()
            with suppress(OSError):  # the client has closed the connection
                for chunk in said.chunks:
                    self.wfile.write(chunk)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
