"""Figures of a soak: results are compared with what the senders had, not with what arrived."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import generate_uid

from operators.core.study_key import study_key

__all__ = ["figures", "given", "sound", "uid_of"]


def uid_of(files: list[Path], number: int) -> str:
    """Study Instance UID of study ``number``; as `benchmarks.soak.numbered` makes it."""
    uid = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    return generate_uid(entropy_srcs=[uid, str(number)])


def given(files: list[Path], number: int) -> set[str]:
    """Names in the queue of all objects that the sender of study ``number`` had."""
    uids = (str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files)
    sent = (generate_uid(entropy_srcs=[uid, str(number)]) for uid in uids)
    return {f"{hashlib.sha256(uid.encode()).hexdigest()[:32]}.dcm" for uid in sent}


def figures(
    studies: int, spool: Path, files: list[Path], received: Counter[tuple[str, str]], seconds: float
) -> dict[str, object]:
    """Count results on disk and at the destination.

    A study counts as lost unless its run had every object of its sender and every
    result of that run has arrived.

    Parameters
    ----------
    studies : int
    spool : Path
    files : list of Path
        Files of the original study; all others are copies of it.
    received : Counter
        How often the destination received each object, by study and SOP Instance UID.
    seconds : float
    """
    names = sorted(path.name for path in (spool / "done").iterdir())
    events = [json.loads(line) for line in (spool / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    ended = Counter(event["job"] for event in events if event["event"] in ("sending", "done"))
    completed = Counter(event["job"] for event in events if event["event"] == "sending")
    records = [json.loads((spool / "done" / name / "job.json").read_text(encoding="utf-8")) for name in names]
    waiting = {path.name for state in ("queued", "running", "sending") for path in (spool / state).iterdir()}
    incomplete, undelivered, lost = [], [], []
    for number in range(studies):
        uid = uid_of(files, number)
        name = f"{study_key(uid)}.1"
        folder = spool / "done" / name
        if name not in names:
            lost += [name] if name not in waiting else []
            continue
        incomplete += [name] if {file.name for file in (folder / "input").glob("*.dcm")} != given(files, number) else []
        results = {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in _results(folder)}
        arrived = {sop for study, sop in received if study == uid}
        undelivered += [name] if not results or results - arrived else []
    twice = sorted({name for name in names if not name.endswith(".1")} | {n for n, c in completed.items() if c > 1})
    again = {study for (study, _), count in received.items() if count > 1}
    return {
        "studies": studies,
        "objects in": studies * len(files),
        "done": len(names),
        "still waiting when time was up": len(waiting),
        "lost": sorted({*lost, *incomplete, *undelivered}),
        "twice": twice,
        "incomplete inputs": len(incomplete),
        "results not delivered whole": len(undelivered),
        "runs begun": sum(record["runs"] for record in records),
        "studies delivered again after a kill": len(again),
        "objects delivered again after a kill": sum(count - 1 for count in received.values()),
        "jobs in the ledger": len(ended),
        "minutes": round(seconds / 60, 1),
        "seconds of a run (median)": round(sorted(record["seconds"] for record in records)[len(records) // 2], 1)
        if records
        else None,
    }


def sound(found: dict[str, Any]) -> bool:
    """Whether nothing was lost or done twice, and kills of the service explain every repeated delivery."""
    return bool(
        found["done"] == found["studies"]
        and not found["lost"]
        and not found["twice"]
        # One study is sent at a time, so a kill can interrupt at most one delivery.
        and found["studies delivered again after a kill"] <= found["service killed"]
    )


def _results(folder: Path) -> list[Path]:
    return sorted((folder / "results").rglob("*.dcm"))
