"""The whole of stage two: fuse a study and write its volumes."""

from __future__ import annotations

from pathlib import Path

from operators.core.nrrd_files import write_volumes
from operators.core.options import FusionOptions
from operators.core.volume import Fused, Study
from operators.station_fusion.fuse import fuse

__all__ = ["write_fused"]


def write_fused(folder: Path | str, study: Study, options: FusionOptions | None = None) -> Fused:
    """Fuse a study and write ``fused/{in,opp,water,fat,fat_fraction,body}.nrrd``.

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
    fused = fuse(study, options)
    write_volumes(Path(folder) / "fused", fused.volumes())
    return fused
