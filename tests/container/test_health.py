"""The health check asks the service at its configured port and reports a dead service."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.serve.health import ask

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_port_is_that_of_the_settings_file_and_of_the_command_line(tmp_path: Path, port: int) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(f"spool: /s\nhttp: {{port: {port}}}\n")
    assert ask(["--config", str(file)]) == ""
    assert ask(["--spool", "/s", "--http-port", str(port)]) == ""
    assert "no healthy answer" in ask(["--config", str(file), "--http-port", "1"])


def test_a_dead_service_is_not_taken_for_a_run_when_process_1_is_another(tmp_path: Path) -> None:
    folder = tmp_path / f"sarcomap-{os.getuid()}"
    folder.mkdir()
    (folder / "serve").write_bytes(b"--spool\0/s\0--http-port\0001\0")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", str(ROOT / "container" / "tools.sh"), "health"],
        cwd=ROOT,
        env={"PATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "no healthy answer" in done.stderr
