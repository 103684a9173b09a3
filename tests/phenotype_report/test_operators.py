"""The last two stages run as MONAI Deploy operators and pass on what they wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dciodvfy import errors

# In a separate process, because Holoscan keeps its threads and log level for
# the life of its process.
_APPLICATION = """
import sys
from pathlib import Path

from operators.deploy import Application, CountCondition, Operator
from operators.dicom_seg_writer.operator import DicomSegWriterOperator
from operators.phenotype_report.operator import PhenotypeReportOperator
from operators.core.volume import Volume
from tests import box_body

OUTPUT = Path(sys.argv[1])


class Source(Operator):
    def setup(self, spec):
        for name in ("labels", "fused", "study", "model"):
            spec.output(name)

    def compute(self, op_input, op_output, context):
        grid = box_body.grid()
        fused = box_body.fused_of(grid)
        op_output.emit(Volume(box_body.box_labels()[0], grid), "labels")
        op_output.emit(fused, "fused")
        op_output.emit(box_body.study_of(fused), "study")
        op_output.emit(box_body.MODEL, "model")


class Stages(Application):
    def compose(self):
        source = Source(self, CountCondition(self, 1), name="source")
        seg = DicomSegWriterOperator(self, output_folder=OUTPUT, name="seg")
        report = PhenotypeReportOperator(self, output_folder=OUTPUT, timings_s={"load": 1.0}, name="report")
        ports = {(name, name) for name in ("labels", "fused", "study", "model")}
        self.add_flow(source, seg, ports)
        self.add_flow(source, report, ports)
        self.add_flow(seg, report, {("segmentation", "segmentation")})


Stages([]).run()
"""


@pytest.mark.slow
def test_both_stages_run_in_one_application(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _APPLICATION, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = {"derived", "segmentation.dcm", "report.json", "report.html", "report.sr.dcm"}
    assert {p.name for p in tmp_path.iterdir()} == expected
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["timings_s"]["load"] == 1.0
    assert errors(tmp_path / "segmentation.dcm") == errors(tmp_path / "report.sr.dcm") == []
