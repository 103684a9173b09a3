"""The tools of other makers that are known by name: the values of `operators.core.segmenters.Segmenter`.

Command lines and lists of labels are those of the sources that are named. Which of them
were run is said in docs/inference-tools.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["KNOWN_SEGMENTERS"]

_TOTALSEGMENTATOR = {
    "version": "TotalSegmentator --version",
    "source": "https://github.com/wasserth/TotalSegmentator/tree/0e65a448d557382b1e925276212b3bec7f5aff83",
}
_MRSEGMENTATOR = {
    "package": "mrsegmentator",
    "writes": "*_seg.nii.gz",
    "without_gpu": "--cpu_only",
    "source": "https://pypi.org/project/mrsegmentator/2.0.0/",
}

KNOWN_SEGMENTERS: Mapping[str, Mapping[str, Any]] = {
    "totalsegmentator": {
        "command": "TotalSegmentator -i {input} -o {output} --task total_mr --ml",
        "scheme": "totalsegmentator",
        **_TOTALSEGMENTATOR,
    },
    "totalsegmentator-thigh": {
        "command": "TotalSegmentator -i {input} -o {output} --task thigh_shoulder_muscles_mr --ml",
        "scheme": "totalsegmentator_thigh",
        **_TOTALSEGMENTATOR,
    },
    "musclemap": {
        # The newest model may have other labels than the scheme, so its version is fixed. Their manual recommends an
        # overlap of 50% (-s 50) for large images; 90% takes many times as long.
        "command": "mm_segment -i {input} -r wholebody --model_version 1.4 -o {folder} -s 50",
        "scheme": "musclemap_1_4",
        "package": "scripts",  # the name in their setup.py
        "writes": "*_dseg.nii.gz",
        "source": "https://github.com/MuscleMap/MuscleMap/tree/6e1e1eb6732337c13cab53bd5cc800c69024774f",
    },
    "mrsegmentator": {
        "command": "mrsegmentator -i {input} -o {folder} --no_tqdm",
        "scheme": "mrsegmentator",
        **_MRSEGMENTATOR,
    },
    "mrsegmentator-body-comp": {
        "command": "mrsegmentator -i {input} -o {folder} --no_tqdm --body_comp",
        "scheme": "mrsegmentator_body_comp",
        **_MRSEGMENTATOR,
    },
    "vibesegmentator": {
        "command": "python {model}/run_VIBESegmentator.py --img {input} --out_path {output}",
        "scheme": "vibesegmentator",
        "package": "TPTBox",
        "without_gpu": "--ddevice cpu",
        "source": "https://github.com/robert-graf/VIBESegmentator/tree/0aec50c2c7270dcc2f9547ad53bb375b760e32f3",
    },
    "nnunet": {
        "command": "nnUNetv2_predict_from_modelfolder -i {images} -o {folder} -m {model}",
        "scheme": "ours",  # replaced by the model's own list
        "package": "nnunetv2",
        "writes": "image.nii.gz",
        "reads": "image_{channel}.nii.gz",
        "without_gpu": "-device cpu",
        "source": "https://github.com/MIC-DKFZ/nnUNet",
    },
    "onnx": {
        "command": "{python} -m operators.segmentation.onnx_tool {model} {images} {output}",
        "scheme": "ours",  # replaced by that of the model's description
        "version": "{python} -m operators.segmentation.onnx_tool --version",
        "reads": "image_{channel}.nii.gz",
        "source": "docs/inference-tools.md",
    },
}
