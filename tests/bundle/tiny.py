"""A tiny network, a few coarse participants, and MONAI's own commands run on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import fire
import monai.bundle
import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from operators.nrrd_files import read_volume, write_segmentation
from phantom.training_set import write_training_set

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundle" / "configs"
SPACING_MM = (16.0, 16.0, 24.0)
NETWORK = [
    "--roi", "[32,32,32]", "--spacing_mm", "[16.0,16.0,24.0]",
    "--network_def#feature_size", "2", "--network_def#hidden_size", "12",
    "--network_def#mlp_dim", "12", "--network_def#num_heads", "2",
]  # fmt: skip
COMMANDS = ("run", "verify_metadata", "verify_net_in_out", "ckpt_export", "onnx_export")


def config_argument(*names: str) -> str:
    """The value of --config_file for files of bundle/configs."""
    files = ",".join(f"'bundle/configs/{name}'" for name in names)
    return f"[{files}]"


def bundle_command(arguments: Sequence[str]) -> None:
    """``python -m monai.bundle ARGUMENTS`` in this process: the same functions behind the same parser."""
    try:
        fire.Fire({name: getattr(monai.bundle, name) for name in COMMANDS}, command=list(arguments))
    finally:
        set_determinism(None)


def run_bundle(*configs: str, arguments: Sequence[str], network: Sequence[str] = NETWORK) -> None:
    """``python -m monai.bundle run`` with files of bundle/configs, on the tiny network."""
    bundle_command(["run", "--config_file", config_argument(*configs), *network, *arguments])


def write_pairs(folder: Path, count: int) -> Path:
    """Coarse participants with ``water.nrrd``, ``fat.nrrd``, ``labels.nrrd`` and ``segmentation.seg.nrrd``."""
    write_training_set(folder, range(count), spacing_mm=SPACING_MM)
    for labels in folder.glob("*/labels.nrrd"):
        write_segmentation(labels.with_name("segmentation.seg.nrrd"), read_volume(labels))
    return folder


def write_weights(path: Path, *configs: str) -> torch.nn.Module:
    """Random weights of the tiny network of some configs; returns the network."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in configs])
    for name, value in zip(NETWORK[::2], NETWORK[1::2], strict=True):
        parser[name.lstrip("-")] = json.loads(value)
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    torch.save(network.state_dict(), path)
    return network.eval()
