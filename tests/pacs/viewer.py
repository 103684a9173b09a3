"""The OHIF viewer as npm has it, served on this machine in front of Orthanc: one origin for both, so that no CORS."""

from __future__ import annotations

import json
import mimetypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.pacs.orthanc import Pacs

__all__ = ["OHIF", "ohif"]

ROOT = Path(__file__).resolve().parents[2]
OHIF = Path(os.environ.get("SARCOMAP_TEST_CACHE") or ROOT / ".cache") / "ohif-3.13.2" / "dist"

#: The viewer's own configuration file; nothing in it is special to SarcoMAP.
_CONFIGURATION = {
    "routerBasename": None,
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "showWarningMessageForCrossOrigin": False,
    "showCPUFallbackMessage": False,
    "strictZSpacingForVolumeViewport": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "orthanc",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "wadoUriRoot": "/dicom-web",
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "qidoSupportsIncludeField": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "enableStudyLazyLoad": True,
                "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
            },
        }
    ],
}


@contextmanager
def ohif(pacs: Pacs) -> Iterator[str]:
    """Serve the viewer and pass ``/dicom-web`` on to a PACS; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith("/dicom-web"):
                self._pass_on()
            elif path == "/app-config.js":
                self._say(200, "text/javascript", f"window.config = {json.dumps(_CONFIGURATION)};".encode())
            else:
                self._file(path)

        def _pass_on(self) -> None:
            host = self.headers["Host"]
            forwarded = {"Accept": self.headers.get("Accept", "*/*"), "Forwarded": f"by=ohif;host={host};proto=http"}
            answer = requests.get(f"{pacs.root}{self.path}", headers=forwarded, auth=pacs.login, timeout=120)
            self._say(answer.status_code, answer.headers.get("Content-Type", "text/plain"), answer.content)

        def _file(self, path: str) -> None:
            file = (OHIF / path.lstrip("/")).resolve()
            if not file.is_file() or OHIF.resolve() not in file.parents:
                file = OHIF / "index.html"  # the viewer has routes of its own
            kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file.name)[0]
            self._say(200, kind or "application/octet-stream", file.read_bytes())

        def _say(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            # What SharedArrayBuffer, and with it volume rendering, asks for.
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Not a line for each image."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
