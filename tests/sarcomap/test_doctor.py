"""`sarcomap doctor` notices what is wrong with a machine, says what to do, and never fails itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import sarcomap.packages as installed
from operators.core.model_card import CARD_FILE, SHIPPED_BUNDLE
from sarcomap.machine import Finding, examine
from tests.app.made_study import ROOT, clean_environment
from tests.closed_folder import closed_folder

#: Checks that take seconds and that most tests here are not about.
_SLOW = ("_files", "_fusion", "_torch", "_openvino", "_onnxruntime", "_pdf", "_numba_cuda")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*_SLOW, "_model"):
        monkeypatch.setattr(f"sarcomap.machine.{name}", lambda *_: "not looked at")


def found(topic: str) -> Finding:
    (finding,) = [each for each in examine() if each.topic == topic]
    return finding


def doctor(*arguments: object, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sarcomap", "doctor", *map(str, arguments)],
        cwd=cwd,
        env=clean_environment() | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def model_line(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Finding:
    for name in _SLOW:
        monkeypatch.setattr(f"sarcomap.machine.{name}", lambda *_: "not looked at")
    (finding,) = [each for each in examine(bundle) if each.topic == "model"]
    return finding


@pytest.mark.parametrize("harm", ["absent", "cut short"])
def test_weights_that_cannot_be_used_are_no_usable_model(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    for part in ("configs", "models"):
        shutil.copytree(SHIPPED_BUNDLE / part, bundle / part)
    (weights,) = (bundle / "models").glob("*.pt")
    if harm == "absent":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:1_000_000])
    assert (bundle / CARD_FILE).is_file()
    finding = model_line(bundle, monkeypatch)
    assert finding.needed and finding.ok is False and weights.name in finding.text


def test_the_bundle_of_the_environment_is_the_one_that_is_looked_at(tmp_path: Path) -> None:
    done = doctor(HOLOSCAN_MODEL_PATH=str(tmp_path / "mine"))
    assert done.returncode == 1 and "NO model" in done.stdout and "mine" in done.stdout
    assert done.stderr == ""


@pytest.mark.usefixtures("quick")
def test_a_package_outside_the_range_is_named_with_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(package: str) -> str:
        return "1.26.4" if package == "numpy" else version(package)

    monkeypatch.setattr(installed, "version", other)
    finding = found("base")
    assert finding.needed and finding.ok is False and "numpy 1.26.4 is not <3,>=2.1" in finding.text


@pytest.mark.usefixtures("quick")
def test_an_extra_that_lacks_a_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(package: str) -> str:
        if package in ("jsonschema", "torch", "weasyprint"):
            raise installed.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(installed, "version", without)
    findings = {each.topic: each for each in examine()}
    for extra, package in (("train", "jsonschema"), ("cpu", "torch"), ("pdf", "weasyprint")):
        assert findings[extra].ok is False and f'pip install "sarcomap[{extra}]"' in findings[extra].text
        assert package in findings[extra].text.partition("not installed: ")[2]
    assert findings["cpu"].needed and not findings["train"].needed and not findings["pdf"].needed


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"])
def test_a_number_of_threads_that_is_none_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [each for each in examine() if each.topic == "variable"]
    monkeypatch.setenv(name, "many")
    assert found("variable").ok is False and f"{name}=many" in found("variable").text


@pytest.mark.usefixtures("quick")
def test_a_cache_that_cannot_be_written_is_told_and_no_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SARCOMAP_CACHE", str(tmp_path / "file" / "cache"))
    assert found("cache").ok is False and "SARCOMAP_CACHE" in found("cache").text
    monkeypatch.setenv("SARCOMAP_CACHE", str(tmp_path / "new"))
    assert found("cache").ok is None
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("quick")
def test_a_cache_in_a_folder_that_this_user_may_not_enter_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = os.access  # about the real user, unless told otherwise
    monkeypatch.setattr(os, "access", lambda path, mode: ask(path, mode, effective_ids=True))
    with closed_folder(tmp_path) as closed:
        monkeypatch.setenv("SARCOMAP_CACHE", str(closed / "cache"))
        assert found("cache").ok is False and "SARCOMAP_CACHE" in found("cache").text


@pytest.mark.usefixtures("quick")
def test_a_full_disk_and_a_folder_that_is_gone_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000_000))
    assert found("temporary").ok is False and found("temporary").needed and "TMPDIR" in found("temporary").text
    assert found("work folder").ok is False and not found("work folder").needed
    monkeypatch.undo()
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for name in (*_SLOW, "_model"):
        monkeypatch.setattr(f"sarcomap.machine.{name}", lambda *_: "not looked at")
    assert found("work folder").ok is False


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("memory_gb", "ok", "needed"), [(16, True, False), (3, False, False), (1.5, False, True)])
def test_little_memory_is_told(memory_gb: float, ok: bool, needed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sarcomap.machine.memory_of_machine", lambda: int(memory_gb * 1e9))
    assert (found("machine").ok, found("machine").needed) == (ok, needed)


_DRIVER = """
int cuInit(unsigned flags) { return STARTS; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
"""


@pytest.mark.usefixtures("quick")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize(
    ("starts", "torch_is_for", "told"),
    [
        (803, "13.0", "CUDA error 803"),
        (0, None, "this PyTorch is a build for the processor"),
        (0, "13.0", "the driver is for CUDA 12.4, PyTorch for 13.0. Update the driver."),
    ],
)
def test_a_driver_that_does_not_fit_is_told(
    starts: int, torch_is_for: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ctypes

    import torch

    (tmp_path / "driver.c").write_text(_DRIVER.replace("STARTS", str(starts)))
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
    load = ctypes.CDLL
    monkeypatch.setattr(
        ctypes, "CDLL", lambda name, *more: load(str(library)) if "libcuda" in name else load(name, *more)
    )
    monkeypatch.setattr(torch.version, "cuda", torch_is_for)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = found("GPU")
    assert finding.ok is False and not finding.needed and told in finding.text


def test_without_the_packages_of_a_study_it_says_what_works_and_what_to_install(tmp_path: Path) -> None:
    """The packages are hidden from Python, as in an installation for tables only."""
    hide = "import sys\nfor name in ('torch', 'numba', 'monai', 'pydicom', 'onnxruntime', 'openvino', 'isal'):\n"
    hide += "    sys.modules[name] = None\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    done = doctor(PYTHONPATH=os.pathsep.join((str(tmp_path), str(ROOT))))
    assert done.returncode == 1
    for line in ("NO files", "NO fusion", "NO PyTorch", "-- OpenVINO", "   cache", "temporary"):
        assert line in done.stdout, done.stdout
    assert "`sarcomap analysis` can" in done.stdout
    assert "defect" not in done.stderr
