"""A tiny network and a few coarse participants, and MONAI's own commands to run on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import fire
import monai.bundle
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from operators.core.nrrd_files import write_segmentation, write_volume
from operators.core.volume import Grid, Volume
from phantom.anatomy import build_labels, build_tissues, fit_body
from phantom.participant import draw_participant

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
    """Run ``python -m monai.bundle ARGUMENTS`` in this process, with the same functions and the same parser."""
    try:
        fire.Fire({name: getattr(monai.bundle, name) for name in COMMANDS}, command=list(arguments))
    finally:
        set_determinism(None)


def run_bundle(*configs: str, arguments: Sequence[str], network: Sequence[str] = NETWORK) -> None:
    """Run ``python -m monai.bundle run`` with files of bundle/configs, on the tiny network."""
    bundle_command(["run", "--config_file", config_argument(*configs), *network, *arguments])


def write_pairs(folder: Path, count: int) -> Path:
    """Coarse participants with ``water``, ``fat``, ``labels`` and ``fine_labels.nrrd`` and ``segmentation.seg.nrrd``.

    The anatomy is drawn on the network's own grid. Scanning and fusing it, as
    `phantom.training_set` does (and tests/phantom tests), takes a hundred times as long.
    """
    for seed in range(count):
        participant = draw_participant(seed)
        body = fit_body(participant, spacing_mm=12.0, rounds=2)
        grid, fine = (_grid_of(parts) for parts in (1, 2))
        tissues = build_tissues(participant, grid, body)
        noise = np.random.default_rng(seed).normal(0, 5, (2, *grid.shape))
        target = folder / f"{seed:06d}"
        target.mkdir(parents=True)
        for name, signal, grain in zip(("water", "fat"), (tissues.water, tissues.fat), noise, strict=True):
            write_volume(target / f"{name}.nrrd", Volume(np.abs(signal + grain).astype(np.float32), grid))
        write_volume(target / "labels.nrrd", Volume(tissues.labels, grid))
        write_volume(target / "fine_labels.nrrd", Volume(build_labels(body, fine), fine))
        write_segmentation(target / "segmentation.seg.nrrd", Volume(tissues.labels, grid))
    return folder


def _grid_of(parts: int) -> Grid:
    """A grid around every body, with each voxel divided into several parts along each axis."""
    spacing = np.array(SPACING_MM) / parts
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = np.array([-240.0, -190.0, -48.0]) + spacing / 2
    return Grid((32 * parts, 24 * parts, 30 * parts), affine)


def write_weights(path: Path, *configs: str) -> torch.nn.Module:
    """Write random weights of the tiny network for some configs that find many structures; returns the network."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in configs])
    for name, value in zip(NETWORK[::2], NETWORK[1::2], strict=True):
        parser[name.lstrip("-")] = json.loads(value)
    torch.manual_seed(0)
    network: torch.nn.Module = parser.get_parsed_content("network_def")
    torch.nn.init.zeros_(network.get_parameter("out.conv.conv.bias"))  # otherwise the bias alone decides
    torch.save(network.state_dict(), path)
    return network.eval()
