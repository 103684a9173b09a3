"""Send many studies through the service while killing senders and the service: count what is lost or done twice.

The destination is a storage SCP in this process that remembers every object.
Everything runs on this machine's loopback. SIGKILL hits every fourth sender when
some of its study's objects are in the queue, and the service (with its current
run) after about every sixth study.

    python benchmarks/soak.py --studies 50
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import yaml
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.soak_figures import figures, sound, uid_of  # noqa: E402
from operators.core.study_key import study_key  # noqa: E402
from phantom.acquisition import acquire_study  # noqa: E402
from phantom.anatomy import body_grid, build_tissues  # noqa: E402
from phantom.archive import write_folder  # noqa: E402
from phantom.dicom_files import dicom_files  # noqa: E402
from phantom.dicom_series import Patient, series_of_study  # noqa: E402
from phantom.dixon_signal import AcquisitionOptions  # noqa: E402
from phantom.participant import draw_participant  # noqa: E402
from phantom.station_geometry import archive_stations, coarser  # noqa: E402

_SEED = 11
_AE_TITLE = "SARCOMAP"
_IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def small_study(folder: Path) -> Path:
    """Four stations of a few thick slices, because only the number of studies matters here."""
    stations = coarser(archive_stations(6), in_plane=4, through_plane=6)
    person = draw_participant(_SEED)
    tissues = build_tissues(person, body_grid(person, (6.0, 6.0, 6.0)))
    series = series_of_study(acquire_study(tissues, stations, AcquisitionOptions(), _SEED), _SEED)
    lowest = sorted({one.station for one in series})[-4:]
    patient = Patient("9000011", "F", 71.6, 158.25, 61.3)
    return write_folder((f for one in series if one.station in lowest for f in dicom_files(one, patient)), folder)


def numbered(item: Dataset, number: int) -> Dataset:
    """Copy an image into another study."""
    for keyword in _IDENTITY:
        setattr(item, keyword, generate_uid(entropy_srcs=[str(item[keyword].value), str(number)]))
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    return item


def send(folder: Path, port: int, number: int) -> int:
    """Send study ``number`` to the service; returns 0 if all of it was accepted."""
    items = [numbered(dcmread(file), number) for file in sorted(folder.rglob("*.dcm"))]
    entity = AE(ae_title="SCANNER")
    for kind in sorted({(item.SOPClassUID, item.file_meta.TransferSyntaxUID) for item in items}):
        entity.add_requested_context(*kind)
    association = entity.associate("127.0.0.1", port, ae_title=_AE_TITLE)
    if not association.is_established:
        return 1
    for item in items:
        try:
            status = association.send_c_store(item).get("Status")
        except RuntimeError:
            return 1
        if status != 0:
            association.abort()
            return 1
    association.release()
    return 0


class Destination:
    """A storage SCP that counts the objects it receives."""

    def __init__(self) -> None:
        self.received: Counter[tuple[str, str]] = Counter()
        entity = AE(ae_title="ARCHIVE")
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax))
        self.port = free_port()
        self.server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)]
        )

    def close(self) -> None:
        if self.server is not None:
            self.server.shutdown()

    def store(self, event: evt.Event) -> int:
        self.received[str(event.dataset.StudyInstanceUID), str(event.dataset.SOPInstanceUID)] += 1
        return 0


class ServiceProcess:
    """``python -m app.serve``, killed and started again."""

    def __init__(self, config: Path, http_port: int, log: Path) -> None:
        self.config, self.http_port, self.log = config, http_port, log
        self.kills = 0
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.serve", "-c", str(self.config)], cwd=ROOT, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return process
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"the service did not start:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill the service with SIGKILL and start it again."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        self.process = self._start()

    def stop(self) -> float:
        """Stop the service in an orderly way; returns the seconds."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - begun


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def send_all(study: Path, port: int, studies: int, spool: Path, chance: random.Random, kills: Counter[str]) -> None:
    """Send one study after the other. Every fourth sender is killed during its transfer and sends again."""
    files = sorted(study.rglob("*.dcm"))
    for number in range(studies):
        for attempt in range(30):
            command = [sys.executable, __file__, "--send", str(study), str(port), str(number)]
            sender = subprocess.Popen(command, cwd=ROOT)
            if attempt == 0 and number % 4 == 1:
                incoming = spool / "incoming" / study_key(uid_of(files, number))
                enough = chance.randint(1, len(files) // 2)  # the rest takes long enough for the kill to arrive in time
                while sender.poll() is None and len(list(incoming.glob("*.dcm"))) < enough:
                    time.sleep(0.02)
                if sender.poll() is None:
                    sender.kill()
                    kills["senders"] += 1
            if sender.wait() == 0:
                break
            kills["sent again"] += 1
            time.sleep(0.5)
        else:
            raise SystemExit(f"study {number} could not be sent")


def soak(studies: int, bundle: Path | None, folder: Path, limit_s: float) -> dict[str, object]:
    """Run the soak; returns figures, with errors under ``lost`` and ``twice``."""
    chance = random.Random(_SEED)
    study = small_study(folder / "study")
    files = sorted(study.rglob("*.dcm"))
    destination, port, http_port = Destination(), free_port(), free_port()
    config = folder / "serve.yaml"
    arguments = ["-m", str(bundle)] if bundle else []
    content = {
        "spool": str(folder / "spool"),
        "quiet_s": 1.5,
        "abandoned_s": 90,
        "min_free_bytes": 0,
        "dicom": {"port": port, "allowed_ae_titles": ["SCANNER"]},
        "http": {"port": http_port},
        "run": {"arguments": arguments, "attempts": 20},
        "send": {"first_wait_s": 1},
        "destinations": [{"name": "archive", "dimse": f"127.0.0.1:{destination.port}", "ae_title": "ARCHIVE"}],
    }
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    service = ServiceProcess(config, http_port, folder / "serve.log")
    kills: Counter[str] = Counter()
    begun = time.monotonic()
    spool = folder / "spool"
    senders = threading.Thread(target=send_all, args=(study, port, studies, spool, chance, kills))
    senders.start()
    next_kill = 2
    while time.monotonic() - begun < limit_s:
        done = len(os.listdir(spool / "done"))
        if done >= studies:
            break
        if done + 1 >= next_kill and os.listdir(spool / "running"):
            time.sleep(chance.uniform(0.0, 4.0))  # at any moment in a run or between runs
            service.kill()
            next_kill = done + 6
        time.sleep(0.2)
    seconds = time.monotonic() - begun
    senders.join(60)
    stop_s = service.stop()
    destination.close()
    return figures(studies, spool, files, destination.received, seconds) | {
        "service killed": service.kills,
        "senders killed": kills["senders"],
        "studies sent again": kills["sent again"],
        "seconds to stop in order": round(stop_s, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--bundle", type=Path, help="default: the shipped one")
    parser.add_argument("--limit-minutes", type=float, default=40)
    parser.add_argument("--send", nargs=3, help=argparse.SUPPRESS)  # the sender's process
    arguments = parser.parse_args()
    if arguments.send:
        folder, port, number = arguments.send
        return send(Path(folder), int(port), int(number))
    with tempfile.TemporaryDirectory(prefix="sarcomap-soak-") as folder:
        found = soak(arguments.studies, arguments.bundle, Path(folder), arguments.limit_minutes * 60)
    print(json.dumps(found, indent=1))
    return 0 if sound(found) else 1


if __name__ == "__main__":
    sys.exit(main())
