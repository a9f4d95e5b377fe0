"""Follow a torch training: ``pytest_mlrun.torch.on_step(mlrun, model, optimizer, loss, step)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_mlrun.run.run import Run

_FACTS = "torch.json"


def on_step(
    run: Run, model: Any, optimizer: Any, loss: Any, step: int, *, batch_size: int | None = None, split: str = "train"
) -> None:
    """Log one step: the loss, the learning rate, the norm of all gradients, and the batch size.

    Call it between ``loss.backward()`` and ``optimizer.step()``. The metrics are ``<split>_loss``, ``learning_rate``
    (of further parameter groups ``learning_rate_1``, …), ``grad_norm`` and ``batch_size``; the first call stores
    ``torch.json``: the optimizer's settings, the number of parameters, and torch's deterministic flags.

    Args:
        run: The run, such as the fixture ``mlrun``.
        model: The module; its gradients are measured as they are: call this before you clip them.
        optimizer: The optimizer.
        loss: The loss of this batch, a tensor or a number.
        step: Number of the step.
        batch_size: Rows in this batch.
        split: What the loss was computed on.
    """
    if "grad_norm" not in run.metrics:
        run.log_dict(_describe(model, optimizer), _FACTS)
    values = {
        f"{split}_loss": float(loss.detach() if hasattr(loss, "detach") else loss),
        "grad_norm": _gradient_norm(model),
    }
    for index, group in enumerate(optimizer.param_groups):
        values["learning_rate" if index == 0 else f"learning_rate_{index}"] = float(group["lr"])
    if batch_size is not None:
        values["batch_size"] = float(batch_size)
    for name, value in values.items():
        run.log_metric(name, value, step=step)


def _gradient_norm(model: Any) -> float:
    import torch

    norms = [
        # A sparse gradient, such as an embedding's, may name a row twice: the sum is what the optimizer sees.
        torch.linalg.vector_norm((part.grad.coalesce().values() if part.grad.is_sparse else part.grad).detach())
        for part in model.parameters()
        if part.grad is not None
    ]
    if not norms:
        return 0.0
    device = norms[0].device
    return float(torch.linalg.vector_norm(torch.stack([norm.to(device) for norm in norms])))


def _describe(model: Any, optimizer: Any) -> dict[str, object]:
    import torch

    parameters = list(model.parameters())
    return {
        "version": str(torch.__version__),
        "model": type(model).__qualname__,
        "parameters": sum(part.numel() for part in parameters),
        "trainable_parameters": sum(part.numel() for part in parameters if part.requires_grad),
        "devices": sorted({str(part.device) for part in parameters}),
        "optimizer": type(optimizer).__qualname__,
        "groups": [
            {
                name: value
                for name, value in group.items()
                if isinstance(value, str | int | float | bool | list | tuple | None) and name != "params"
            }
            for group in optimizer.param_groups
        ],
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "deterministic_warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cuda_tf32": torch.backends.cuda.matmul.allow_tf32,
        "threads": torch.get_num_threads(),
    }
