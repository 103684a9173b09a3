"""The service from outside: it receives DICOM, runs studies in separate processes and sends results."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import requests
from pynetdicom import AE

from operators.core.study_key import study_key
from tests.app.made_study import ROOT
from tests.pacs.orthanc import needs_orthanc, orthanc
from tests.pacs.small_study import SECRETS, other_series, renamed, study_uid
from tests.serve.service import Served, serving, until


def associate(served: Served, calling: str = "SCANNER", called: str = "SARCOMAP") -> object:
    entity = AE(ae_title=calling)
    entity.add_requested_context("1.2.840.10008.1.1")
    return entity.associate("127.0.0.1", served.port, ae_title=called)


def send(served: Served, folder: Path, count: int | None = None, release: bool = True) -> list[int]:
    items = [pydicom.dcmread(file) for file in sorted(folder.rglob("*.dcm"))][:count]
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(items[0].SOPClassUID, items[0].file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", served.port, ae_title="SARCOMAP")
    assert association.is_established
    statuses = [association.send_c_store(item).Status for item in items]
    association.release() if release else association.abort()
    return statuses


def test_only_those_on_the_list_may_send_and_only_to_us(tmp_path: Path) -> None:
    with serving(tmp_path, dicom={"allowed_ae_titles": ["SCANNER"]}) as served:
        assert associate(served).is_established  # type: ignore[attr-defined]
        assert associate(served, calling="STRANGER").is_rejected  # type: ignore[attr-defined]
        assert associate(served, called="OTHER").is_rejected  # type: ignore[attr-defined]
        until(lambda: served.metric("sarcomap_associations_rejected_total") == 2, 5)
        assert requests.get(f"{served.http}/health", timeout=5).json()["well"] is True
        listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True).stdout
        assert f"127.0.0.1:{served.port} " in listening and f"0.0.0.0:{served.port} " not in listening


def test_a_study_beyond_the_limit_is_refused_while_it_comes(tmp_path: Path, slices: Path) -> None:
    with serving(tmp_path, max_study_objects=10) as served:
        assert send(served, slices) == [0x0000] * 10 + [0xA700] * 6
        until(lambda: bool(served.names("failed")), 70)
        assert "more than 10 objects" in served.record("failed", served.names("failed")[0])["error"]


def test_what_cannot_be_used_fails_with_the_reason_and_without_the_patient(tmp_path: Path, slices: Path) -> None:
    other_series(slices, tmp_path / "others")
    (tmp_path / "localizer").mkdir()
    shutil.copy(tmp_path / "others" / "localizer.dcm", tmp_path / "localizer")
    with serving(tmp_path / "serve") as served:
        send(served, tmp_path / "localizer")
        until(lambda: bool(served.names("failed")), 90)
        (name,) = served.names("failed")
        assert name == f"{study_key(study_uid(slices))}.1"
        record = served.record("failed", name)
        assert record["runs"] == 1 and "expected" in record["error"]  # bad input is not retried
        said = served.log.read_text() + (served.spool / "failed" / name / "run.log").read_text() + json.dumps(record)
        said += requests.get(f"{served.http}/metrics", timeout=5).text
        for secret in (*SECRETS, study_uid(slices)):
            assert secret not in said


@pytest.mark.slow
@needs_orthanc
def test_results_reach_every_destination_once_it_is_up(tmp_path: Path, study: Path, bundle: Path) -> None:
    with orthanc(tmp_path / "first") as pacs:
        archive = f"127.0.0.1:{pacs.dicom_port}"
        destinations = [
            {"name": "web", "dicomweb": pacs.dicomweb},
            {"name": "dimse", "dimse": archive, "ae_title": "ORTHANC"},
            {"name": "cohort", "folder": str(tmp_path / "results")},
            {"name": "absent", "dimse": "127.0.0.1:1"},
        ]
        with serving(
            tmp_path / "serve",
            run={"arguments": ["-m", str(bundle)]},
            destinations=destinations,
            send={"first_wait_s": 0.5, "attempts": 3},
        ) as served:
            assert set(send(served, study)) == {0}
            until(lambda: bool(served.names("failed")), 240)  # one destination never starts
            (name,) = served.names("failed")
            record = served.record("failed", name)
            assert set(record["sent"]) == {"web", "dimse", "cohort"} and record["tries"] == {"absent": 3}
            assert "no association" in record["error"]
        results = tmp_path / "results" / name
        assert (results / "report.json").is_file()
        ours = pydicom.dcmread(results / "segmentation.dcm")
        (stored,) = pacs.find("Instance", SOPInstanceUID=str(ours.SOPInstanceUID))
        copy = tmp_path / "copy.dcm"
        copy.write_bytes(pacs.get(f"/instances/{stored}/file").content)
        assert np.array_equal(pydicom.dcmread(copy).pixel_array, ours.pixel_array)
        assert pacs.count() == len(list(results.rglob("*.dcm")))


@pytest.mark.slow
def test_a_kill_in_the_middle_loses_nothing_and_leaves_no_run_behind(tmp_path: Path, study: Path, bundle: Path) -> None:
    run = {"arguments": ["-m", str(bundle)]}
    watch = tmp_path / "inbox"
    watch.mkdir()
    with serving(tmp_path / "serve", run=run, watch=str(watch)) as served:
        renamed(study, tmp_path / "another", 1)
        shutil.move(tmp_path / "another", watch / "another")
        until(lambda: bool(served.names("running") and _children(served)), 60)
        children = _children(served)
        for child in children:  # on a busy machine, the run would end before all objects have arrived
            os.kill(child, signal.SIGSTOP)
        assert set(send(served, study, count=200, release=False)) == {0}
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
        for child in children:  # one that had just been started sees only now that its parent has ended
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)
        until(lambda: not any(_runs(child) for child in children), 30)
    with serving(tmp_path / "serve", run=run, watch=str(watch)) as served:
        assert set(send(served, study)) == {0}  # the sender reconnects
        until(lambda: len(served.names("done")) == 2, 300)
        assert {served.record("done", name)["objects"] for name in served.names("done")} == {448}
        assert all(name.endswith(".1") for name in served.names("done"))
        assert served.names("failed") == served.names("queued") == []


@pytest.mark.slow
def test_told_to_stop_the_service_lets_a_run_end_or_puts_it_back_and_goes_on_later(
    tmp_path: Path, study: Path, bundle: Path
) -> None:
    run = {"arguments": ["-m", str(bundle)]}
    with serving(tmp_path, run=run) as served:
        assert set(send(served, study)) == {0}
        until(lambda: bool(served.names("running")), 60)
        served.process.terminate()
        until(lambda: not associate(served).is_established, 5)  # type: ignore[attr-defined]
        assert served.process.wait(40) == 0  # a run has 20 s to end
        assert served.names("running") == served.names("failed") == []
        assert len([*served.names("queued"), *served.names("sending"), *served.names("done")]) == 1
    with serving(tmp_path, run=run) as served:
        until(lambda: bool(served.names("done")), 240)
        (name,) = served.names("done")
        assert name.endswith(".1") and served.record("done", name)["runs"] == 1


@pytest.mark.slow
def test_a_run_that_takes_too_long_is_cut_off_and_given_up(tmp_path: Path, study: Path, bundle: Path) -> None:
    with serving(tmp_path, run={"arguments": ["-m", str(bundle)], "timeout_s": 1}) as served:
        send(served, study)
        until(lambda: bool(served.names("failed")), 120)  # three runs of a second each are cut off
        assert "cut off after 1 s" in served.record("failed", served.names("failed")[0])["error"]


@pytest.mark.slow
def test_a_soak_with_kills_loses_nothing_and_does_nothing_twice(bundle: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--studies", "4", "--bundle", str(bundle), "--limit-minutes", "8"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["done"] == 4 and found["lost"] == [] and found["twice"] == [], found
    assert found["service killed"] >= 1 and found["senders killed"] >= 1, found


def _children(served: Served) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(served.process.pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z" and bool(os.path.exists(f"/proc/{process}"))
