"""The OHIF viewer from npm, served on this machine in front of Orthanc, with one origin to avoid CORS."""

from __future__ import annotations

import json
import mimetypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.pacs.orthanc import Pacs

__all__ = ["OHIF", "View", "look", "ohif"]

ROOT = Path(__file__).resolve().parents[2]
OHIF = Path(os.environ.get("SARCOMAP_TEST_CACHE") or ROOT / ".cache") / "ohif-3.13.2" / "dist"

#: The viewer's configuration file. Nothing in it is specific to SarcoMAP.
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
                file = OHIF / "index.html"  # the viewer has its own routes
            kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file.name)[0]
            self._say(200, kind or "application/octet-stream", file.read_bytes())

        def _say(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            # SharedArrayBuffer requires these headers, and volume rendering requires SharedArrayBuffer.
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing: one line per image would be too much."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class View:
    """Content of the screen.

    Attributes
    ----------
    text : str
        Text of the page, with the list of segments.
    image_before, image_after : bytes
        PNG of the image alone, without and with the segmentation.
    errors : list of str
        Exceptions that no part of the page caught.
    """

    text: str
    image_before: bytes
    image_after: bytes
    errors: list[str]


def look(address: str, study_uid: str, segment: str, picture: Path, chromium: str = "/usr/bin/chromium") -> View:
    """Open a study, load its segmentation, go to a segment's middle, and keep a picture of the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/segmentation?StudyInstanceUIDs={study_uid}")
        thumbnail = page.get_by_text("SarcoMAP muscles").first
        thumbnail.wait_for(timeout=90_000)
        page.get_by_text("SarcoMAP fused water").first.dblclick()
        image = page.locator(".cornerstone-canvas").first
        image.wait_for(timeout=60_000)
        page.wait_for_timeout(6_000)
        before = image.screenshot()
        thumbnail.dblclick()
        listed = page.get_by_text(segment, exact=True).first
        listed.wait_for(timeout=120_000)
        page.wait_for_timeout(3_000)
        listed.click()
        page.wait_for_timeout(8_000)
        page.screenshot(path=picture)
        view = View(page.inner_text("body"), before, image.screenshot(), errors)
        browser.close()
    return view
