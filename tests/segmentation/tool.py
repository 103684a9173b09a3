"""A labelling tool of another maker, for tests: a 3-D ONNX network in a process of its own.

Called as ``tool.py MODEL INPUT OUTPUT [--fault NAME]``; prints its version with ``--version``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import onnxruntime


def main(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print("onnx-tool 3.2.1")
        return 0
    model, source, target, *rest = arguments
    fault = rest[-1] if rest else ""
    if fault == "fails":
        print("out of luck", file=sys.stderr)
        return 3
    if fault == "hangs":
        time.sleep(600)
    if fault == "grows":
        held = np.ones(100_000_000)
        time.sleep(600)
        return int(held[0])
    if fault == "writes nothing":
        return 0
    image = nibabel.Nifti1Image.from_filename(source)
    voxels = np.asanyarray(image.dataobj).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": voxels[None, None]})
    labels = scores[0].argmax(axis=0).astype(np.uint8)
    affine = image.affine
    if fault == "other grid":
        labels, affine = labels[::2], affine @ np.diag([2, 1, 1, 1])
    if fault == "unknown labels":
        labels[labels == 1] = 77
    if fault == "empty":
        labels[:] = 0
    nibabel.save(nibabel.Nifti1Image(labels, affine), Path(target))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
