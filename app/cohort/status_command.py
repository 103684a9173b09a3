"""``sarcomap cohort status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from operators.core.command_line import EXIT_CODES, new_app
from operators.core.errors import InputError
from operators.core.options.declaration import Flag

__all__ = ["command"]

command = new_app("status", "Show what has become of each study of a cohort. It only reads.", EXIT_CODES)


@command.default
def _status(
    out: Annotated[Path, Parameter(name="OUT", help="The cohort's folder.")],
    /,
    *,
    failures: Annotated[bool, Flag, Parameter(help="List every study that is not done.")] = False,
    json_: Annotated[bool, Flag, Parameter(name="--json", help="Print JSON for programs.")] = False,
) -> None:
    from app.cohort.status import as_json, as_text, read_status

    status = read_status(out)
    if not ((out / "run.json").is_file() or (out / "ledger").is_dir() or status.known):
        raise InputError(str(out), "no cohort", "the OUT of `sarcomap cohort run`", "Check the path.")
    print(as_json(status) if json_ else as_text(status, failures))
