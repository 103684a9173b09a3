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
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not moved:
                continue
            gradients = [parameter.grad for parameter in moved]
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            change = _muon if group["muon"] else _adamw
            change(moved, gradients, [self.state[parameter] for parameter in moved], group)
        return loss


def _muon(
    parameters: list[torch.Tensor], gradients: list[torch.Tensor], states: list[dict[str, Any]], group: dict[str, Any]
) -> None:
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
    averages = [state["momentum"] for state in states]
    torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
    wanted = torch._foreach_lerp(gradients, averages, group["momentum"])  # Nesterov's momentum
    # Matrices of one shape are made orthogonal together: on a GPU, one by one, they take as long as the network.
    alike: dict[tuple[int, ...], list[int]] = {}
    for n, one in enumerate(wanted):
        alike.setdefault((len(one), one.numel() // len(one)), []).append(n)
    for shape, members in alike.items():
        together = nearest_orthogonal(torch.stack([wanted[n].reshape(shape) for n in members]))
        changes = [one.reshape(parameters[n].shape) for n, one in zip(members, together, strict=True)]
        scale = _ADAMW_SCALE * max(shape) ** 0.5
        torch._foreach_add_([parameters[n] for n in members], changes, alpha=-group["lr"] * scale)


def _adamw(
    parameters: list[torch.Tensor], gradients: list[torch.Tensor], states: list[dict[str, Any]], group: dict[str, Any]
) -> None:
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
    first, second = group["betas"]
    means, squares = ([state[name] for state in states] for name in ("mean", "square"))
    torch._foreach_lerp_(means, gradients, 1 - first)
    torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - second)
    for state in states:
        state["step"] += 1
    sizes = torch._foreach_div(squares, [1 - second ** state["step"] for state in states])
    torch._foreach_sqrt_(sizes)
    torch._foreach_add_(sizes, 1e-8)
    rates = [-group["lr"] / (1 - first ** state["step"]) for state in states]
    torch._foreach_addcdiv_(parameters, means, sizes, rates)


def nearest_orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Roughly the orthogonal matrix nearest to each (..., rows, columns): its singular values become 0.7 to 1.2.

    By five steps of a Newton-Schulz iteration, whose coefficients are those of Muon.
    """
    upright = matrix.shape[-2] > matrix.shape[-1]
    wide = matrix.mT if upright else matrix
    found = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp_min(1e-7)
    found = found.to(torch.bfloat16 if has_bf16(matrix.is_cuda) else torch.float32)
    found = found.reshape(-1, *found.shape[-2:])
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    found = found.reshape(wide.shape)
    return (found.mT if upright else found).to(matrix.dtype)
