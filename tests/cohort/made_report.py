"""A report of a box body, from which the stand-in makes one for each study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from operators.core.volume import Contrast, Volume
from operators.phenotype_report import measure
from operators.phenotype_report.report import build_report
from tests import box_body

__all__ = ["write_template"]


def write_template(folder: Path) -> None:
    """Write ``.template.json`` among the inputs. Files with such names are no studies."""
    labels, _ = box_body.box_labels()
    fused = box_body.fused_of(box_body.grid(), contrasts=tuple(Contrast))
    measurements = measure(Volume(labels, box_body.grid()), fused, 1.7)
    report: dict[str, Any] = build_report(
        measurements, fused, box_body.study_of(fused), box_body.MODEL, {"load": 1.0}, labels_sha256="ab" * 32
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".template.json").write_text(json.dumps(report))
