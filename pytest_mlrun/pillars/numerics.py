"""Find the numeric libraries that are loaded: their threads, kernels and builds."""

from __future__ import annotations

import sys
from operator import attrgetter
from pathlib import Path
from types import ModuleType

_POOL_FACTS = ("user_api", "internal_api", "prefix", "version", "threading_layer", "architecture", "num_threads")

_TORCH_FACTS = {
    "version": "__version__",
    "git_version": "version.git_version",
    "cuda": "version.cuda",
    "config": "__config__.show",
    "cpu_capability": "backends.cpu.get_cpu_capability",
    "threads": "get_num_threads",
    "interop_threads": "get_num_interop_threads",
    "deterministic_algorithms": "are_deterministic_algorithms_enabled",
    "cudnn_deterministic": "backends.cudnn.deterministic",
    "cudnn_benchmark": "backends.cudnn.benchmark",
    "cudnn_tf32": "backends.cudnn.allow_tf32",
    "cuda_tf32": "backends.cuda.matmul.allow_tf32",
}


def find_numerics() -> dict[str, object]:
    """Return the thread pools, and the builds of numpy and torch, that this process has loaded; loads none itself."""
    return {"thread_pools": _find_thread_pools(), "numpy": _describe_numpy(), "torch": _describe_torch()}


def max_threads(numerics: dict[str, object]) -> int | None:
    """Return the most threads that one of the pools may use, or nothing where no pool is loaded."""
    pools = numerics["thread_pools"]
    counts = [pool["num_threads"] for pool in pools] if isinstance(pools, list) else []
    return max(counts, default=None)


def _find_thread_pools() -> list[dict[str, object]] | None:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    pools = [
        {**{fact: pool.get(fact) for fact in _POOL_FACTS}, "file": Path(pool["filepath"]).name}
        for pool in threadpool_info()
    ]
    # Two copies of OpenBLAS are common; the order in which they were loaded is not a fact about them.
    return sorted(pools, key=lambda pool: (str(pool["user_api"]), str(pool["file"])))


def _describe_numpy() -> dict[str, object] | None:
    numpy = sys.modules.get("numpy")
    config = sys.modules.get("numpy.__config__")
    if numpy is None or config is None:
        return None
    facts = getattr(config, "CONFIG", {})
    return {"version": numpy.__version__, "simd": facts.get("SIMD Extensions")}


def _describe_torch() -> dict[str, object] | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_num_threads"):
        return None
    facts = {name: _ask(torch, attribute) for name, attribute in _TORCH_FACTS.items()}
    cuda = getattr(torch, "cuda", None)
    # Asking for devices before CUDA is in use would start it, which takes memory on every device.
    if cuda is not None and cuda.is_initialized():
        facts["devices"] = [cuda.get_device_name(device) for device in range(cuda.device_count())]
    return facts


def _ask(module: ModuleType, attribute: str) -> object:
    try:
        value = attrgetter(attribute)(module)
        answer = value() if callable(value) else value
    except (AttributeError, RuntimeError):
        # Versions lack a setting, or refuse to tell one that was set in the newer way.
        return None
    return answer if isinstance(answer, bool | int | None) else str(answer)
