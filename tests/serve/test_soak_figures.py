"""What the soak counts as lost, compared with what the senders had, not with what arrived."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID

from benchmarks.soak_figures import figures, given, sound, uid_of
from operators.core.study_key import study_key
from tests.serve.made_queue import image

OBJECTS = 3
RESULTS = ("1.9.1", "1.9.2")


def write(file: Path, sop_uid: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    item = image()
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    item.save_as(file, enforce_file_format=True)
    return file


class Soaked:
    """One study that was processed and delivered."""

    def __init__(self, folder: Path) -> None:
        self.spool = folder / "spool"
        self.files = [write(folder / "study" / f"{n}.dcm", f"1.2.3.4.{n}") for n in range(OBJECTS)]
        uid = uid_of(self.files, 0)
        for state in ("queued", "running", "sending"):
            (self.spool / state).mkdir(parents=True)
        self.job = self.spool / "done" / f"{study_key(uid)}.1"
        (self.job / "input").mkdir(parents=True)
        for name in given(self.files, 0):
            (self.job / "input" / name).touch()
        for number, result in enumerate(RESULTS):
            write(self.job / "results" / f"{number}.dcm", result)
        (self.job / "job.json").write_text(json.dumps({"objects": OBJECTS, "runs": 1, "seconds": 1.0}))
        (self.spool / "ledger.jsonl").write_text(json.dumps({"job": self.job.name, "event": "sending"}) + "\n")
        self.received = Counter({(uid, result): 1 for result in RESULTS})

    def figures(self, kills: int = 0) -> dict[str, Any]:
        return {**figures(1, self.spool, self.files, self.received, 60.0), "service killed": kills}


@pytest.fixture
def soaked(tmp_path: Path) -> Soaked:
    return Soaked(tmp_path)


def test_a_study_that_went_through_whole_is_sound(soaked: Soaked) -> None:
    found = soaked.figures()
    assert sound(found) and found["lost"] == found["twice"] == [] and found["done"] == 1


def test_a_run_with_fewer_objects_than_its_sender_had_is_a_loss(soaked: Soaked) -> None:
    next((soaked.job / "input").iterdir()).unlink()
    found = soaked.figures()
    assert found["lost"] == [soaked.job.name] and found["incomplete inputs"] == 1 and not sound(found)


def test_a_result_that_did_not_arrive_is_a_loss_even_if_no_study_has_more(soaked: Soaked) -> None:
    del soaked.received[next(iter(soaked.received))]
    found = soaked.figures()
    assert found["lost"] == [soaked.job.name] and not sound(found)


def test_what_is_delivered_again_must_have_a_kill_for_it(soaked: Soaked) -> None:
    soaked.received[next(iter(soaked.received))] += 1
    assert not sound(soaked.figures())
    assert sound(soaked.figures(kills=1))
