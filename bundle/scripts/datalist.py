"""List pairs of fused images and label files for training, in folds that do not split a participant.

    python -m bundle.scripts.datalist DIR --folds 5 --group-by participant --out DIR/datalist.json
    python -m monai.bundle run --config_file bundle/configs/train.yaml --datalist DIR/datalist.json --fold 0

Every folder below DIR that holds the images (directly or in `fused/`, where
`sarcomap run` writes them) and one `.seg.nrrd` of 3D Slicer is a pair. Segments
are matched to the label table by name or SNOMED CT code. Structures that were not
drawn are recorded and left out of the loss and the averages.

Label maps of another tool are weak labels and may be on any grid:

    python -m bundle.scripts.datalist DIR --label musclemap.nii.gz --scheme musclemap
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bundle.scripts.annotations import read_labels
from bundle.scripts.data import check_folds
from bundle.scripts.folds import assign_folds, group_of, participant_of, read_groups
from bundle.scripts.participants import labels_on_grid
from operators.core import anatomy
from operators.core.errors import InputError, SarcoMapError, UsageError
from operators.core.image_channels import read_image
from operators.core.output_files import replacing

__all__ = ["find_pairs", "make_datalist", "write_datalist"]

_NAMES = {s.index: s.name for s in anatomy.LABELS}


def find_pairs(folder: Path, images: Sequence[str], label: str | None = None) -> list[tuple[Path, tuple[Path, ...]]]:
    """Find the label file and images of every participant below ``folder``.

    Parameters
    ----------
    folder : Path
    images : sequence of str
        File names of the channels.
    label : str, optional
        File name of the labels; by default the only ``*.seg.nrrd`` in the folder.

    Raises
    ------
    InputError
        If a folder holds several label files, or there is no pair.
    """
    found = []
    for parent in sorted({path.parent for path in folder.rglob(label or "*.seg.nrrd")}):
        if any(part.startswith(".") for part in parent.relative_to(folder).parts):
            continue
        labels = sorted(parent.glob(label or "*.seg.nrrd"))
        if len(labels) > 1:
            raise InputError(
                f"{parent.name}/",
                f"{len(labels)} label files ({', '.join(path.name for path in labels)})",
                "one per participant",
                "Choose one with --label NAME.",
            )
        for place in (parent, parent / "fused"):
            if all((place / name).is_file() for name in images):
                found.append((labels[0], tuple(place / name for name in images)))
                break
    if not found:
        raise InputError(
            str(folder),
            f"no folder with {', '.join(images)} and {label or 'a .seg.nrrd'}",
            "one folder per participant",
            "See bundle/docs/README.md, section Training data.",
        )
    return found


def make_datalist(
    folder: Path,
    out: Path,
    *,
    folds: int = 5,
    group_by: str = "participant",
    images: Sequence[str] = ("water.nrrd",),
    label: str | None = None,
    mapping: Mapping[int, int] | None = None,
    weak: bool = False,
    weak_folders: Collection[str] = (),
    ignore: Collection[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Check every pair and write the datalist. Nothing is written if a pair cannot be used.

    Parameters
    ----------
    folder, out : Path
        Paths in the list are relative to ``out``'s folder.
    folds : int
        Number of folds for cross-validation.
    group_by : str
        ``participant`` groups by the folder's name (for UK Biobank items by the eid, so that repeat visits stay
        together). Else a CSV file with columns ``folder`` and ``group``, for families, sites or scanners.
    images : sequence of str
        File names of the images, one for each channel of the network.
    label : str, optional
        File name of the labels. Default: the only ``.seg.nrrd``.
    mapping : mapping, optional
        For plain label maps of another scheme: value to class of the label table. Such labels are weak.
    weak, weak_folders : bool, collection of str
        Mark all pairs, or those of these folders, as labels of another program.
    ignore : collection of str
        Segments to leave out.
    seed : int
        Seed of the random assignment to folds.

    Returns
    -------
    dict
        Content of the file.

    Raises
    ------
    InputError, UsageError
    """
    pairs = find_pairs(folder, images, label)
    table = None if group_by == "participant" else read_groups(Path(group_by))
    base = out.resolve().parent
    names = [label_path.parent.relative_to(folder).as_posix() for label_path, _ in pairs]
    if unknown := sorted(set(weak_folders) - set(names)):
        raise UsageError(
            f"--weak-folder {unknown[0]}",
            "no such folder with a pair",
            f"a folder below {folder.name}/, e.g. {names[0]}",
            "Check the name.",
        )
    entries: list[dict[str, Any]] = []
    for name, (label_path, image_paths) in zip(names, tqdm(pairs, unit="participant", disable=None), strict=True):
        annotated, image_sha256 = _read_pair(name, label_path, image_paths, mapping, ignore)
        participant = participant_of(name)
        entry: dict[str, Any] = {
            "participant": participant,
            "group": participant if table is None else group_of(table, name),
            "fold": 0,
            "image": [_relative(path, base) for path in image_paths],
            "label": _relative(label_path, base),
            "annotated": annotated,
            "weak": bool(weak or mapping is not None or name in weak_folders),
            "image_sha256": image_sha256,
        }
        if mapping is not None:
            entry["mapping"] = {str(value): _NAMES.get(index) for value, index in mapping.items()}
        entries.append(entry)
    numbers = assign_folds([e["group"] for e in entries], [e["weak"] for e in entries], folds, seed)
    for entry, number in zip(entries, numbers, strict=True):
        entry["fold"] = number
    check_folds(entries, out.name)
    content = {
        "description": "Pairs of fused Dixon images and label maps. Classes not in `annotated` were not drawn.",
        "channels": list(images),
        "folds": folds,
        "group_by": group_by if table is None else Path(group_by).name,
        "seed": seed,
        "ignored_segments": sorted(ignore),
        "training": entries,
    }
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def _read_pair(
    name: str, label_path: Path, image_paths: Sequence[Path], mapping: Mapping[int, int] | None, ignore: Collection[str]
) -> tuple[list[str], str]:
    """Check that a pair can be used: the structures that are annotated, and the SHA-256 of the first image.

    The digest is that of the voxels, so that copies in other files are found.
    """
    voxels, grid = read_image(image_paths)
    read = read_labels(label_path, mapping, ignore)
    where = f"{label_path.parent.name}/{label_path.name}"
    labels_on_grid(read.labels, grid, where, resample=mapping is not None)
    if not read.annotated:
        raise InputError(name, "no labelled voxel", "at least one structure", "Leave the folder out.")
    return [_NAMES[index] for index in sorted(read.annotated)], hashlib.sha256(voxels[0].tobytes()).hexdigest()


def write_datalist(
    folder: Path, out: Path | None = None, *, label: str | None = None, scheme: str | None = None, **options: Any
) -> Path:
    """Call `make_datalist` with the command line's options, and print a summary.

    Parameters
    ----------
    folder : Path
    out : Path, optional
        ``datalist.json`` in ``folder`` by default.
    label : str, optional
        File name of the labels.
    scheme : str, optional
        Meaning of the values of plain label maps: ``ours``, or a label scheme of the application.
    **options
        Further arguments of `make_datalist`.

    Returns
    -------
    Path
        The datalist.

    Raises
    ------
    InputError, UsageError
        As `make_datalist`, and if a plain label map has no scheme.
    """
    if label and not label.endswith(".seg.nrrd") and not scheme:
        raise UsageError(
            f"--label {label}",
            "a plain label map; its numbers alone have no meaning",
            "--scheme",
            "Use --scheme ours for this project's own label maps.",
        )
    if not folder.is_dir():
        raise InputError(str(folder), "no such folder", "a folder with one folder per participant", "Check the path.")
    out = out or folder / "datalist.json"
    _print_summary(make_datalist(folder, out, label=label, mapping=_scheme(scheme), **options), out)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bundle.scripts.datalist",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, help="default: DIR/datalist.json")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--group-by", default="participant", metavar="participant|FILE.csv")
    parser.add_argument("--images", nargs="+", default=["water.nrrd"], help="channels (default: water.nrrd)")
    parser.add_argument("--label", help="file name of the labels (default: the only .seg.nrrd of the folder)")
    parser.add_argument("--scheme", help="meaning of the values of plain label maps: ours, or a label scheme")
    parser.add_argument(
        "--weak", action="store_true", help="the labels come from another program, not from an annotator"
    )
    parser.add_argument(
        "--weak-folder",
        dest="weak_folders",
        action="append",
        default=[],
        metavar="NAME",
        help="this folder's labels come from another program",
    )
    parser.add_argument("--ignore-segment", dest="ignore", action="append", default=[], metavar="NAME")
    parser.add_argument("--seed", type=int, default=0, help="seed of the assignment to folds")
    try:
        write_datalist(**vars(parser.parse_args(arguments)))
    except SarcoMapError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _print_summary(content: dict[str, Any], out: Path) -> None:
    entries = content["training"]
    for fold in range(content["folds"]):
        chosen = [e for e in entries if e["fold"] == fold]
        print(f"fold {fold}: {len(chosen)} pairs, {sum(e['weak'] for e in chosen)} of them weak")
    for structure in anatomy.STRUCTURES:
        count = sum(structure.name in e["annotated"] for e in entries)
        if count < len(entries):
            print(f"{structure.name}: annotated in {count} of {len(entries)}")
    print(out)


def _scheme(name: str | None) -> Mapping[int, int] | None:
    """Map values of another tool's label maps to the label table; structures that it merges with others become 0."""
    if name is None or name == "ours":
        return None
    from operators.core.label_schemes import load_scheme

    scheme = load_scheme(name)
    targets = scheme.targets()
    return {number: max(0, targets.get(label, 0)) for number, label in scheme.labels.items()}


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path.resolve(), base)).as_posix()


if __name__ == "__main__":
    sys.exit(main())
