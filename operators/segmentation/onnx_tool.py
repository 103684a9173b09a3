"""A program that labels an image with an ONNX network of another maker, as the description beside the network says.

``python -m operators.segmentation.onnx_tool NETWORK.onnx IMAGES LABELS.nii.gz``: IMAGES is a folder
with image_0000.nii.gz and so on, one for each channel. It runs as a process of its own, so that the
limits of time and memory hold for it as for any other tool.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.core.errors import SarcoMapError, SegmentationError
from operators.core.onnx_description import OnnxDescription, read_onnx_description
from operators.segmentation.onnx_windows import WindowNetwork, label_volume
from operators.segmentation.runtimes import import_onnxruntime

__all__ = ["label_images", "main"]


def main(arguments: list[str]) -> int:
    """Run the program; returns its exit code."""
    if arguments == ["--version"]:
        print(f"ONNX Runtime {import_onnxruntime().__version__}")
        return 0
    if len(arguments) != 3:
        print("usage: onnx_tool NETWORK.onnx IMAGES LABELS.nii.gz", file=sys.stderr)
        return 2
    network, images, output = map(Path, arguments)
    try:
        label_images(network, images, output)
    except SarcoMapError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 3
    except MemoryError as error:
        print(f"not enough memory ({error}): window and spacing_mm of the description may be wrong", file=sys.stderr)
        return 3
    return 0


def label_images(network: Path, images: Path, output: Path) -> None:
    """Label the images of a folder and write the label map on their grid.

    Raises
    ------
    UsageError
        When the network's description cannot be used.
    SegmentationError
        When the network cannot be run, or does not fit its description.
    """
    import nibabel

    description = read_onnx_description(network)
    runner = WindowNetwork(network, description)
    files = [images / f"image_{n:04d}.nii.gz" for n in range(len(description.contrasts))]
    volumes: list[Any] = [nibabel.load(file) for file in files]
    affine = volumes[0].affine
    there = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(tuple(description.orientation))
    )
    back = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt(tuple(description.orientation)), nibabel.io_orientation(affine)
    )
    turned = [nibabel.apply_orientation(np.asanyarray(volume.dataobj, np.float32), there) for volume in volumes]
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    spacing = tuple(float(sizes[int(axis)]) for axis in np.argsort(there[:, 0]))
    labels = label_volume(np.stack(turned), spacing, runner, description)
    values = _values(description, int(labels.max()))
    written = np.ascontiguousarray(nibabel.apply_orientation(values[labels], back))
    nibabel.save(nibabel.Nifti1Image(written, affine), output)


def _values(description: OnnxDescription, highest: int) -> NDArray[np.uint16]:
    """The number in the scheme of each label of the network."""
    if not description.values:
        return np.arange(highest + 1, dtype=np.uint16)
    if highest >= len(description.values):
        raise SegmentationError(
            f"ONNX network {description.name}",
            f"label {highest}",
            f"one of the {len(description.values)} labels that `values` of its description numbers",
            "Give a number for each label of the network, background included.",
        )
    return np.array(description.values, np.uint16)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
