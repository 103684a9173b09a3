"""The loader as the source of a MONAI Deploy graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from operators.core.errors import InputError
from operators.core.volume import Study
from operators.deploy import Application, ExecutionContext, InputContext, Operator, OperatorSpec, OutputContext
from operators.dicom_loader.operator import DicomLoaderOperator
from tests.dicom_loader.dicom_maker import write_study


class Sink(Operator):
    def __init__(self, fragment: Any, *args: Any, received: list[Study], **kwargs: Any) -> None:
        self.received = received
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        spec.input("study")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        self.received.append(op_input.receive("study"))


class OnlyLoading(Application):
    def __init__(self, path: Path, received: list[Study], **options: Any) -> None:
        self.path, self.received, self.loader_options = path, received, options
        super().__init__()

    def compose(self) -> None:
        loader = DicomLoaderOperator(self, input_path=self.path, name="dicom_loader", **self.loader_options)
        self.add_flow(loader, Sink(self, received=self.received, name="sink"), {("study", "study")})


def test_the_operator_emits_one_study_and_ends(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1)
    received: list[Study] = []
    OnlyLoading(tmp_path, received).run()
    (study,) = received
    assert len(study.stations) == 4


def test_the_operator_passes_on_its_options(tmp_path: Path) -> None:
    write_study(tmp_path, stations=1, change=lambda header: header.InstanceNumber != 3)
    received: list[Study] = []
    OnlyLoading(tmp_path, received, allow_missing_slices=True).run()
    assert {flag.code for flag in received[0].flags} == {"missing-slice"}


def test_an_error_leaves_the_graph_unchanged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        OnlyLoading(tmp_path, []).run()


def test_loading_needs_no_holoscan() -> None:
    script = (
        "import sys, operators.dicom_loader; "
        "sys.exit(any(name.split('.')[0] in ('holoscan', 'monai', 'torch') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
