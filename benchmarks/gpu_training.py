"""One step of training on the GPU beside the CPU, and the time of a step. Part of `benchmarks.gpu_check`."""

from __future__ import annotations

import copy

import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNETR

from benchmarks.gpu_setting import Part, Row, Setting
from operators.core.anatomy import CHANNEL_COUNT
from operators.core.bfloat16 import has_bf16

__all__ = ["check_training"]

_TOLERANCE = 2e-3  # relative; sums in another order, in float32


def check_training(setting: Setting, part: Part) -> None:
    """Compare loss and gradients of one step in float32 with the CPU's, and time steps in mixed precision."""
    with part.step("parity"):
        _check_step(setting, part)
    with part.step("time"):
        _time_step(setting, part)


def _check_step(setting: Setting, part: Part) -> None:
    size = (32, 32, 32)
    network = _network(size, 4, 24, 24, 2)
    image, label = _batch(size, 2)
    expected = _step(copy.deepcopy(network), image, label, torch.device("cpu"))
    allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:  # TensorFloat-32 rounds to ten bits, which would hide an error
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        found = _step(copy.deepcopy(network), image, label, setting.device)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed
    loss_error = abs(found[0] - expected[0]) / abs(expected[0])
    gradient_error = float((found[1] - expected[1]).norm() / expected[1].norm())
    part.rows.append(
        Row(
            "training step: loss and gradients equal the CPU's",
            f"relative difference {loss_error:.1e} and {gradient_error:.1e}",
            f"loss {expected[0]:.4f}",
            f"{_TOLERANCE:g}",
            max(loss_error, gradient_error) < _TOLERANCE,
            parity=True,
        )
    )
    part.details |= {"loss_error": loss_error, "gradient_error": gradient_error}


def _time_step(setting: Setting, part: Part) -> None:
    size, shape = ((32, 32, 32), (4, 24, 24, 2)) if setting.small else ((96, 96, 96), (16, 768, 3072, 12))
    network = _network(size, *shape).to(setting.device).train()
    image, label = (part.to(setting.device) for part in _batch(size, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-5, weight_decay=1e-5)
    loss = DiceCELoss(include_background=True, to_onehot_y=True, softmax=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        bf16 = setting.device.type == "cuda" and has_bf16(cuda=True)
        with torch.autocast(setting.device.type, dtype=torch.bfloat16, enabled=bf16):
            value = loss(network(image), label)
        value.backward()
        optimizer.step()

    step_s, peak = setting.median(step, 3), setting.peak_gib(step)
    part.details |= {"step_s": step_s, "peak_gib": peak}
    memory = "" if peak is None else f"{peak:.1f} GiB"
    part.rows.append(Row("training step, batch of 2 windows, mixed precision", f"{1e3 * step_s:.0f} ms", memory))


def _network(size: tuple[int, int, int], feature: int, hidden: int, mlp: int, heads: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return UNETR(
        in_channels=1,
        out_channels=CHANNEL_COUNT,
        img_size=size,
        feature_size=feature,
        hidden_size=hidden,
        mlp_dim=mlp,
        num_heads=heads,
        norm_name="instance",
        res_block=True,
    )


def _batch(size: tuple[int, int, int], count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, 1, *size, generator=generator)
    label = torch.randint(0, CHANNEL_COUNT, (count, 1, *size), generator=generator)
    return image, label


def _step(
    network: torch.nn.Module, image: torch.Tensor, label: torch.Tensor, device: torch.device
) -> tuple[float, torch.Tensor]:
    """The loss and all gradients of one batch, in float32."""
    network = network.to(device).train()
    loss = DiceCELoss(include_background=True, to_onehot_y=True, softmax=True)
    value = loss(network(image.to(device)), label.to(device))
    value.backward()
    gradients = [p.grad.flatten().double().cpu() for p in network.parameters() if p.grad is not None]
    return float(value), torch.cat(gradients)
