"""ONNX networks of another maker whose answer is known: they compare the image with thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["describe", "threshold_network"]


def threshold_network(path: Path, axes: int, size: list[int | str] | None = None, channels: int = 1) -> Path:
    """A network that scores background 0 and foreground (mean of channels - 100): label 1 above a mean of 100."""
    weight = np.zeros((2, channels, *[1] * axes), np.float32)
    weight[1] = 1.0 / channels
    shape = size or [f"n{axis}" for axis in range(axes)]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w", "b"], ["scores"])],
        "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, *shape])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2, *shape])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.array([0.0, -100.0], np.float32), "b"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def sigmoid_network(path: Path) -> Path:
    """A network for slices that gives the probability of one structure: (1, 1, rows, columns)."""
    shape: list[str | int | None] = [1, 1, "rows", "columns"]
    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["image"], ["probability"])],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def describe(network: Path, **keys: Any) -> Path:
    """Write the description beside a network, and a scheme for its label 1 (or what ``values`` make of it)."""
    import yaml

    number = (keys.get("values") or [0, 1])[1]
    (network.parent / "bright.yaml").write_text(
        "name: bright\nversion: '1'\nsource: here\nmade: automatic\n"
        f"structures:\n  vastus_lateralis: [bright]\nlabels:\n  {number}: bright\n"
    )
    facts = {"name": "bright", "scheme": "bright.yaml", **keys}
    network.with_suffix(".yaml").write_text(yaml.safe_dump(facts))
    return network
