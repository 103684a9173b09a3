"""``python -m app.serve``: studies come in by DICOM or into a folder, results go out."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import warnings
from pathlib import Path
from types import FrameType

from app.serve.settings import Settings, read_settings
from operators.core.errors import SarcoMapError

__all__ = ["main", "settings_from"]

EPILOG = """\
settings file (YAML; every key that there is, with its default or an example; only spool must be given):
  spool: /var/lib/sarcomap          the queue: incoming, queued, running, sending, done, failed
  watch: /data/inbox                zips and folders put here are studies
  quiet_s: 30                       a study is taken when nothing of it has come for so long
  abandoned_s: 900                  the same when its sender was cut off
  max_study_bytes: 4294967296       a study beyond this is refused
  max_study_objects: 20000          the same
  min_free_bytes: 2147483648        while the disk has less free, nothing is accepted and no run begins
  keep_days: 7                      done and failed studies are removed after that
  dicom:
    host: 127.0.0.1                 address to listen on
    port: 11112                     0: no listener
    ae_title: SARCOMAP              ours: who calls another is rejected
    allowed_ae_titles: [SCANNER1]   who may send; must be given unless host is this machine only
    maximum_associations: 10        at a time; more are rejected
    tls_certificate: service.pem    with tls_key: DICOM TLS, and nothing without it
    tls_key: service.key
    tls_ca: scanners.pem            senders must show a certificate that follows from it
  http:
    host: 127.0.0.1                 /health and /metrics
    port: 8043                      0: none
  run:
    arguments: [--stations, all]    any options of python -m app
    workers: 1                      studies at a time
    timeout_s: 3600                 a run is cut off after that
    attempts: 3                     runs that may crash or be cut off before a study is given up
  send:
    first_wait_s: 10                after a failure; then twice as long, and so on,
    longest_wait_s: 3600            up to this
    attempts: 48                    failures at one destination before it is given up (with these waits: 40 hours)
  destinations:                     each has a name, and one of dicomweb, dimse and folder
    - {name: pacs, dicomweb: https://pacs.example/dicom-web, auth: login.yaml, ca: ca.pem}
    - {name: archive, dimse: 127.0.0.1:4242, ae_title: ARCHIVE, calling_ae_title: SARCOMAP}
    - {name: cohort, folder: /data/results}

a login file has 'token: ...', or 'user: ...' and 'password: ...'; without one the environment is asked
(SARCOMAP_DICOMWEB_TOKEN, or SARCOMAP_DICOMWEB_USER and SARCOMAP_DICOMWEB_PASSWORD).

to try a failed study again, stop the service, move its folder from failed/ to queued/ (to sending/, when only its
results are to be sent again), and start it.
SIGTERM and Ctrl-C stop the service in order; after kill -9 it goes on where it was.

examples:
  python -m app.serve --spool /var/lib/sarcomap --port 11112
  python -m app.serve --config serve.yaml
"""


def main(argv: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=arguments.log_level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    warnings.filterwarnings("ignore")  # of pydicom: they quote values
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs what it receives and sends
    stop = threading.Event()

    def told_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told_to_stop)
    try:
        settings = _settings(arguments)
        from app.serve.service import Service  # --help and a wrong setting need not wait for it

        service = Service(settings)
        from app.serve.security_warnings import cautions

        for caution in cautions(settings):
            logging.getLogger("sarcomap.serve").warning(caution)
    except SarcoMapError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    dicom, http = settings.dicom, settings.http
    logging.getLogger("sarcomap.serve").info(
        "ready: DICOM %s, HTTP %s",
        f"{dicom.ae_title} on {dicom.host}:{dicom.port}" if dicom.port else "off",
        f"on {http.host}:{http.port}" if http.port else "off",
    )
    stop.wait()
    service.stop()
    return 0


def settings_from(argv: list[str]) -> Settings:
    """What the service that was started with these arguments was told.

    Raises
    ------
    UsageError
        When they cannot be used.
    """
    return _settings(_parser().parse_args([argument for argument in argv if argument]))


def _settings(arguments: argparse.Namespace) -> Settings:
    return read_settings(
        arguments.config,
        {
            "spool": arguments.spool,
            "watch": arguments.watch,
            "quiet_s": arguments.quiet,
            "dicom": {"host": arguments.host, "port": arguments.port, "ae_title": arguments.ae_title},
            "http": {"port": arguments.http_port},
        },
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.serve",
        description="A DICOM listener and a watched folder in front of the application: studies are queued on disk, "
        "processed one by one, and their results are sent to DICOMweb servers, storage SCPs or folders.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, help="settings file; the arguments below win over it")
    parser.add_argument("--spool", help="folder of the queue")
    parser.add_argument("--watch", help="folder in which zips and folders of studies appear")
    parser.add_argument("--quiet", type=float, metavar="SECONDS", help="silence after which a study is taken")
    parser.add_argument("--host", help="address of the DICOM listener (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port of the DICOM listener (default: 11112; 0: none)")
    parser.add_argument("--ae-title", help="AE title of the DICOM listener (default: SARCOMAP)")
    parser.add_argument("--http-port", type=int, help="port of health and metrics (default: 8043; 0: none)")
    parser.add_argument(
        "-l",
        "--log-level",
        type=str.upper,
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="default: INFO",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
