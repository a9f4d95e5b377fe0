"""Find the numeric libraries that are loaded: their threads, kernels and builds."""

from __future__ import annotations

import sys
from pathlib import Path

_POOL_FACTS = ("user_api", "internal_api", "prefix", "version", "threading_layer", "architecture", "num_threads")


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
    backends = torch.backends
    return {
        "version": str(torch.__version__),
        "git_version": torch.version.git_version,
        "cuda": torch.version.cuda,
        "config": torch.__config__.show(),
        "cpu_capability": backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": backends.cudnn.deterministic,
        "cudnn_benchmark": backends.cudnn.benchmark,
        "cuda_tf32": backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": backends.cudnn.allow_tf32,
    }
