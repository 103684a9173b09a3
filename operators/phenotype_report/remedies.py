"""What to do about a study whose phenotypes are withheld."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["REMEDIES", "what_to_do"]

_MISSING = (
    "Look in the archive or at the scanner for the series that are missing: a copy that broke off is the usual reason. "
    "If they exist, run the whole study again. If they were never acquired, this study cannot be measured from pelvis "
    "to knee."
)

REMEDIES: Mapping[str, str] = {
    "station-gap": _MISSING,
    "no-pelvis-coverage": _MISSING,
    "no-knee-coverage": _MISSING,
    "no-pelvis-to-knee-coverage": _MISSING,
    "water-fat-swap": (
        "Run the study again with --fix-swaps, and look at the pictures of that report: under the skin everything "
        "must be dark in the water image. If it is not, have water and fat reconstructed again."
    ),
    "body-mismatch": (
        "Look at the pictures: if they show two people, separate their series and run each study on its own. If they "
        "show one, who moved or was scanned on two days, the stations do not fit together."
    ),
    "added-constant": (
        "Export the images again as the scanner reconstructed them, without the processing that added the constant."
    ),
    "intensity-unmatched": (
        "Check that the images are magnitude images of a two-point Dixon scan, as the scanner reconstructed them, and "
        "not maps or images of another sequence."
    ),
}
"""By the code of a flag of severity ``error``."""

_OTHERWISE = "Look at the pictures and at the messages under Quality, mend the study, and run it again."


def what_to_do(flags: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """A remedy for each kind of error among a report's flags.

    Parameters
    ----------
    flags : sequence of mapping
        ``quality.flags`` of a report.
    """
    errors = [flag["code"] for flag in flags if flag["severity"] == "error"]
    return tuple(dict.fromkeys(REMEDIES.get(code, _OTHERWISE) for code in errors))
