"""An optimiser that learns more in a step than AdamW, for trainings that cannot have many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from operators.core.bfloat16 import has_bf16

__all__ = ["MuonAdamW", "nearest_orthogonal"]

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5
_ADAMW_SCALE = 0.2
"""Root mean square of an AdamW step, in learning rates (Liu et al. 2025, Muon is scalable, arXiv 2502.16982)."""


class MuonAdamW(torch.optim.Optimizer):
    """Muon for the matrices and kernels inside a network, AdamW for all else, with one learning rate.

    Muon (Jordan et al. 2024) keeps a momentum of the gradient and makes a step along
    the nearest orthogonal matrix, so that rare directions are learnt as fast as common
    ones. A kernel counts as the matrix of its output channels. The network's ends (patch
    embedding, position, last layer), biases and norms have AdamW. Steps are as large as
    those of AdamW, so its learning rates and weight decays can be kept. For matrices,
    steps equal those of ``torch.optim.Muon`` with ``match_rms_adamw``, which takes no
    kernels and always computes in bfloat16; here only machines that have it do.

    Parameters
    ----------
    network : Module
    lr, weight_decay : float
    momentum : float
        Of Muon.
    betas : tuple of float
        Of AdamW.
    ends : tuple of str
        Parameters whose names contain one of these have AdamW.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        ends: tuple[str, ...] = ("patch_embedding", "out."),
    ) -> None:
        inside: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, parameter in network.named_parameters():
            (rest if parameter.ndim < 2 or any(end in name for end in ends) else inside).append(parameter)
        groups = [{"params": inside, "muon": True}, {"params": rest, "muon": False}]
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step along the parameters' gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            change = _muon if group["muon"] else _adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    change(parameter, parameter.grad, self.state[parameter], group)
        return loss


def _muon(parameter: torch.Tensor, gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state["momentum"] = torch.zeros_like(parameter)
    average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
    matrix = gradient.lerp(average, group["momentum"]).reshape(len(parameter), -1)  # Nesterov's momentum
    scale = _ADAMW_SCALE * max(matrix.shape) ** 0.5
    parameter.sub_(nearest_orthogonal(matrix).reshape(parameter.shape), alpha=group["lr"] * scale)


def _adamw(parameter: torch.Tensor, gradient: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
    state["step"] += 1
    first, second = group["betas"]
    mean = state["mean"].lerp_(gradient, 1 - first)
    square = state["square"].lerp_(gradient.square(), 1 - second)
    size = (square / (1 - second ** state["step"])).sqrt_().add_(1e-8)
    parameter.addcdiv_(mean, size, value=-group["lr"] / (1 - first ** state["step"]))


def nearest_orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Roughly the orthogonal matrix nearest to ``matrix`` (rows, columns): its singular values become 0.7 to 1.2.

    By five steps of a Newton-Schulz iteration, whose coefficients are those of Muon.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    found = wide / wide.norm().clamp_min(1e-7)
    found = found.to(torch.bfloat16 if has_bf16(matrix.is_cuda) else torch.float32)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return (found if wide is matrix else found.T).to(matrix.dtype)
