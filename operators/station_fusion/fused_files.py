"""The whole second stage: fuse a study and write its volumes; also reading them back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import GeometryError
from operators.core.nrrd_files import read_volume, write_volumes
from operators.core.options import FusionOptions
from operators.core.output_folder import FUSED_FILES, without
from operators.core.volume import Contrast, Fused, Study
from operators.station_fusion.fuse import fuse
from operators.station_fusion.fused_elsewhere import fused_elsewhere
from operators.station_fusion.water_alone import fat_stand_in

__all__ = ["fused_of", "read_fused", "write_fused", "write_fused_volumes"]


def write_fused(folder: Path | str, study: Study, options: FusionOptions | None = None) -> Fused:
    """Fuse a study, unless another program has, and write ``fused/{in,opp,water,fat,fat_fraction,body}.nrrd``.

    Parameters
    ----------
    folder : Path or str
    study, options
        See `fuse`.

    Raises
    ------
    SarcoMapError
        See `fuse` and `write_volumes`.
    """
    fused = fused_of(study, options)
    write_fused_volumes(folder, fused)
    return fused


def fused_of(study: Study, options: FusionOptions | None = None) -> Fused:
    """Fuse a study, or take its volumes as they are if another program has fused them.

    Parameters and errors are those of `fuse`.
    """
    options = options or FusionOptions()
    return fused_elsewhere(study, options) if study.fused_elsewhere else fuse(study, options)


def write_fused_volumes(folder: Path | str, fused: Fused) -> None:
    """Write ``fused/{in,opp,water,fat,fat_fraction,body}.nrrd``, without those of absent contrasts.

    Raises
    ------
    SarcoMapError
        See `write_volumes`.
    """
    write_volumes(Path(folder) / "fused", fused.volumes())


def read_fused(folder: Path | str) -> Fused:
    """Read ``fused/*.nrrd`` back: the volumes only, without stations, overlaps and flags.

    In-phase and opposed-phase volumes may be missing: then they are absent, as the study has none. Where water alone is
    there, fat is absent too.

    Parameters
    ----------
    folder : Path or str
        A run's output folder.

    Raises
    ------
    InputError
        When a file is missing or cannot be read.
    GeometryError
        When the volumes are not on one grid.
    """
    paths = {Path(name).stem: Path(folder) / name for name in FUSED_FILES}
    absent = frozenset(c for c in (Contrast.IN, Contrast.OPPOSED) if not paths[c.value].is_file())
    if len(absent) == 2 and not (paths["fat"].is_file() or paths["fat_fraction"].is_file()):
        absent |= {Contrast.FAT}
    paths = {stem: path for stem, path in paths.items() if f"fused/{stem}.nrrd" in without(FUSED_FILES, absent)}
    with ThreadPoolExecutor(max_workers=len(paths)) as pool:  # decompression releases the interpreter lock
        volumes = dict(zip(paths, pool.map(read_volume, paths.values()), strict=True))
    grid = volumes["water"].grid
    for stem, volume in volumes.items():
        if not volume.grid.same_as(grid):
            raise GeometryError(
                f"fused/{stem}.nrrd",
                "a different grid",
                "the grid of fused/water.nrrd",
                "Process the study again with `sarcomap run`.",
            )
    signal = {stem: cast("NDArray[np.float32]", volume.voxels) for stem, volume in volumes.items()}
    if Contrast.FAT in absent:
        signal["fat"] = fat_stand_in(signal["water"], volumes["body"].voxels != 0)
        signal["fat_fraction"] = np.zeros_like(signal["water"])
    return Fused(
        water=signal["water"],
        fat=signal["fat"],
        in_phase=signal["in"] if "in" in signal else signal["water"] + signal["fat"],
        opposed=signal["opp"] if "opp" in signal else np.abs(signal["water"] - signal["fat"]),
        grid=grid,
        body=volumes["body"].voxels != 0,
        fat_fraction=signal["fat_fraction"],
        stations=(),
        absent=absent,
    )
