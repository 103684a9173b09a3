"""The studies that `benchmarks.gpu_check` needs, made by a process of their own while the check uses the GPU.

    python -m benchmarks.gpu_inputs FOLDER [--small]

Besides the studies, the process leaves numba's compiled kernels in numba's cache, so that the check need not compile
them: on a fresh machine that takes longer than the studies.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

__all__ = ["DEMO", "FULL", "SpareProcess", "dicom_of", "main"]

#: Fused studies in the folder: on the archive's grid for the shipped network, and at the full-size network's spacing.
DEMO, FULL = "demo.npz", "full.npz"
_SECONDS = 600.0


class SpareProcess:
    """The process that makes the inputs, begun at once.

    Parameters
    ----------
    folder : Path
    small : bool
    """

    def __init__(self, folder: Path, small: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        command = [sys.executable, "-m", "benchmarks.gpu_inputs", str(folder), *(["--small"] if small else [])]
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1], stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until the inputs are there.

        Raises
        ------
        RuntimeError
            With the end of what the process said, if it failed.
        """
        if self._process.wait(timeout=_SECONDS) != 0:
            raise RuntimeError(f"the inputs could not be made: {self._log.read_text(encoding='utf-8')[-2000:]}")

    def seconds(self) -> dict[str, float]:
        """Seconds of its steps, as far as it has come."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        steps = [line.split() for line in lines if line.startswith("step ")]
        return {name: float(taken) for _, name, taken in steps}

    def stop(self) -> None:
        """End it if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Make the inputs; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a tiny study, and none that is fused")
    options = parser.parse_args(argv)
    began = time.perf_counter()

    def done(step: str) -> None:
        nonlocal began
        print("step", step, round(time.perf_counter() - began, 2), flush=True)
        began = time.perf_counter()

    from phantom import archive_stations, write_study
    from phantom.station_geometry import coarser

    done("import")
    stations = archive_stations(4)
    if options.small:
        write_study(options.folder, seed=11, stations=coarser(stations, 4, 2), tissue_spacing_mm=(8.0, 8.0, 8.0))
        return 0
    # The anatomy is coarse, which is quick: only its extent matters here.
    made = write_study(options.folder, seed=11, stations=stations, compress=True, tissue_spacing_mm=(4.0, 4.0, 4.0))
    done("phantom")
    from benchmarks.inference import SPACING_MM
    from benchmarks.inference_runs import save
    from operators.core.options import FusionOptions
    from operators.dicom_loader import load_study
    from operators.station_fusion import fuse, stations_to_fuse

    study = load_study(made.dicom, select=partial(stations_to_fuse, choice=FusionOptions().stations))
    done("load")
    for name, spacing_mm in ((DEMO, None), (FULL, SPACING_MM)):
        fused = fuse(study, FusionOptions(spacing_mm=spacing_mm, device="cpu"))
        done(f"fuse-{name}")
        save(fused, options.folder / name, fat=True)
        done(f"save-{name}")
    return 0


def dicom_of(folder: Path) -> Path:
    """The DICOM files in the folder of the inputs."""
    return folder / "dicom"


if __name__ == "__main__":
    sys.exit(main())
