"""The files about the whole cohort: run.json, failures.csv and phenotypes.parquet."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.cohort.options import CohortOptions
from app.cohort.records import Attempt, Digests
from app.cohort.studies import StudyInput
from operators.core import clock
from operators.core.options import RunOptions
from operators.core.options.declaration import recorded
from operators.core.output_files import replacing
from operators.core.software import software

__all__ = ["PHENOTYPES", "RunRecord", "changed_options", "state_of", "write_failures", "write_phenotypes"]

PHENOTYPES = "phenotypes.parquet"
_VERSION = 1
# Not how often a study was tried: that depends on what else was killed, and the table must not. The ledger has it.
_COLUMNS = ("study", "eid", "visit", "outcome", "where", "found", "expected", "remedy", "input")


@dataclass
class RunRecord:
    """``run.json``: what the latest run was asked to do, and how it ended.

    Attributes
    ----------
    out : Path
    content : dict
    earlier_table : str or None
        What `state_of` was when an earlier run wrote the table of phenotypes.
    """

    out: Path
    content: dict[str, Any] = field(default_factory=dict)
    earlier_table: str | None = None

    @classmethod
    def begin(
        cls,
        out: Path,
        inputs: Sequence[str],
        studies: Sequence[StudyInput],
        options: RunOptions,
        cohort: CohortOptions,
        digests: Digests,
        fuse_only: bool,
        others: int = 0,
    ) -> RunRecord:
        """Write what is known at the beginning; ``others`` are studies of earlier runs that are not among these."""
        earlier = _table_of(out)
        record = cls(
            out,
            {
                "version": _VERSION,
                "inputs": list(inputs),
                "studies": len(studies),
                "others": others,
                "software": software(),
                "digests": asdict(digests),
                "fuse_only": fuse_only,
                "options": recorded(options),
                "cohort_options": recorded(cohort),
                "started_utc": clock.now().isoformat(timespec="seconds"),
                "ended_utc": None,
                "table": earlier,
            },
            earlier,
        )
        record.write()
        return record

    def end(self, counts: Mapping[str, int], left: int, seconds: float) -> None:
        """Write how the run ended, if the folder is still there."""
        if not (self.out / "run.json").exists():  # its share is gone: nothing must be written in its place
            return
        self.content |= {
            "ended_utc": clock.now().isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "outcomes": dict(counts),
            "without_outcome": left,
        }
        self.write()

    def write(self) -> None:
        """Replace the file."""
        with replacing(self.out / "run.json") as temporary:
            temporary.write_text(json.dumps(self.content, indent=1) + "\n", encoding="utf-8")


def changed_options(out: Path, options: RunOptions, cohort: CohortOptions, fuse_only: bool) -> list[str]:
    """Which options differ from those of the earlier run, each with both values.

    A forgotten option would process a whole cohort again: the user must see which one it is.
    """
    try:
        earlier = json.loads((out / "run.json").read_bytes())
        before = _flat(_deciding(earlier["options"], earlier["cohort_options"]["keep"], earlier["fuse_only"]))
    except (OSError, ValueError, KeyError, TypeError):
        return []
    now = _flat(_deciding(recorded(options), cohort.keep, fuse_only))
    return sorted(
        f"--{name.rpartition('.')[2].replace('_', '-')}: {_shown(now.get(name))} now, {_shown(before.get(name))} before"
        for name in now.keys() | before.keys()
        if now.get(name) != before.get(name)
    )


def _deciding(options: Mapping[str, Any], keep: str, fuse_only: bool) -> dict[str, Any]:
    return {**options, "keep": keep, "fuse_only": fuse_only}


def _flat(record: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{name}.")
        elif name != "device":  # where it runs does not count
            found[above + name] = value
    return found


def _shown(value: object) -> str:
    names = {None: "not set", True: "on", False: "off"}
    if value is None or isinstance(value, bool):
        return names[value]
    return ", ".join(map(str, value)) or "not set" if isinstance(value, list) else str(value)


def _table_of(out: Path) -> str | None:
    try:
        found = json.loads((out / "run.json").read_bytes()).get("table")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def write_failures(out: Path, known: Mapping[str, Attempt]) -> int:
    """Write ``failures.csv``, with one row for each study that is not done; returns their number."""
    failed = [known[study] for study in sorted(known) if known[study].outcome != "done"]
    with (
        replacing(out / "failures.csv") as temporary,
        # A path may hold bytes of another encoding.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as opened,
    ):
        table = csv.writer(opened)
        table.writerow(_COLUMNS)
        for one in failed:
            said = asdict(one.error) if one.error is not None else {}
            row = {**asdict(one), **said, "input": one.input.path}
            table.writerow([row.get(name) for name in _COLUMNS])
    return len(failed)


def write_phenotypes(out: Path) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Write ``phenotypes.parquet`` from the reports of all studies.

    Returns
    -------
    rows : int
    left_out : tuple of (str, str)
        Reports that could not be used, and why.

    Raises
    ------
    AnalysisError
        If no report can be used.
    """
    from analysis.collect import collect_reports

    collected = collect_reports(out / "studies")
    collected.write(out / PHENOTYPES)
    return len(collected.table), collected.left_out


def state_of(known: Mapping[str, Attempt]) -> str:
    """Digest of what is done: the same as long as the table of phenotypes would be the same."""
    digest = hashlib.sha256()
    for study in sorted(known):
        one = known[study]
        if one.outcome == "done":
            digest.update(f"{study}\0{one.folder}\0{one.attempt}\0{one.worker}\n".encode())
    return digest.hexdigest()[:32]
