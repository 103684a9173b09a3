"""``sarcomap compare``: the change between two reports of one person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from operators.core.command_line import EXIT_CODES, new_app
from operators.core.options.declaration import section

if TYPE_CHECKING:
    from operators.phenotype_report.comparison import Change

__all__ = ["command"]

_REPORTS = Parameter(group=section("Reports", -10))
_OUTPUT = Parameter(group=section("Output", 0), metavar="FILE", show_default=False)
_EXAMPLES = f"""\
{EXIT_CODES}

Examples:
  sarcomap compare out/2021 out/2024
  sarcomap compare out/2021/report.json out/2024/report.json --html change.html"""

command = new_app(
    "compare",
    "Show the change between two reports of one person, beside the smallest detectable change.\n\n"
    "The smallest detectable change is that of published repeatability of muscle volumes with Dixon MRI. For fat none "
    "is published, so the change of fat is shown without a judgement.",
    _EXAMPLES,
)


@command.default
def _compare(
    before: Annotated[Path, Parameter(name="A", help="Earlier report.json, or the folder that holds it."), _REPORTS],
    after: Annotated[Path, Parameter(name="B", help="Later report.json, or the folder that holds it."), _REPORTS],
    /,
    *,
    json_file: Annotated[Path | None, Parameter(name="--json", help="Write the changes as JSON."), _OUTPUT] = None,
    html_file: Annotated[Path | None, Parameter(name="--html", help="Write the changes as a page."), _OUTPUT] = None,
) -> int:
    # Imported here so that help and usage errors do not wait for it.
    from operators.core.output_files import replacing
    from operators.phenotype_report.comparison import changes_between, differences, read_report
    from operators.phenotype_report.comparison_page import comparison_page

    reports = read_report(before), read_report(after)
    changes = changes_between(*reports)
    notes = differences(*reports)
    print(_table(changes))
    for note in notes:
        print(f"Note: {note} changed between the reports.")
    if json_file is not None:
        with replacing(json_file) as temporary:
            temporary.write_text(json.dumps(_record(changes, notes), indent=2) + "\n", encoding="utf-8")
    if html_file is not None:
        with replacing(html_file) as temporary:
            temporary.write_text(comparison_page(*reports, changes, notes), encoding="utf-8")
    return 0


def _table(changes: tuple[Change, ...]) -> str:
    from operators.phenotype_report.page_numbers import shown

    lines = [f"{'':40s}{'before':>12s}{'after':>12s}{'change':>12s}  judgement"]
    for change in changes:
        texts = [shown(change.phenotype, value) for value in (change.before, change.after, change.difference)]
        lines.append(f"{change.phenotype.title:40s}{''.join(f'{text:>12s}' for text in texts)}  {change.verdict}")
    return "\n".join(lines)


def _record(changes: tuple[Change, ...], notes: tuple[str, ...]) -> dict[str, object]:
    return {
        "changes": {
            change.phenotype.key: {
                "before": change.before,
                "after": change.after,
                "smallest_detectable_change": change.detectable,
                "judgement": change.verdict,
            }
            for change in changes
        },
        "differs": list(notes),
    }
