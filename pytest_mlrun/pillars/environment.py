"""Find the environment that a run computes in: interpreter, distributions, lock file, libraries, processor."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_mlrun.pillars.cpu import find_cpu
from pytest_mlrun.pillars.dependency_locks import DependencyLock, find_dependency_locks
from pytest_mlrun.pillars.distributions import find_distributions
from pytest_mlrun.pillars.facts import context_of, digest_of, json_text
from pytest_mlrun.pillars.numerics import find_numerics, max_threads
from pytest_mlrun.pillars.redaction import hide_home, is_secret_variable, redact_text

IMAGE_VARIABLE = "PYTEST_MLRUN_IMAGE_DIGEST"
FORMAT = 1

_NAMES = frozenset(
    {
        *("LANG", "LANGUAGE", "TZ", "GLIBC_TUNABLES", "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
        *("CUBLAS_WORKSPACE_CONFIG", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS"),
    }
)
_PREFIXES = (
    *(
        "PYTHON",
        "OMP_",
        "MKL_",
        "OPENBLAS_",
        "GOTO_",
        "BLIS_",
        "KMP_",
        "TORCH_",
        "PYTORCH_",
        "CUDA_",
        "CUDNN_",
        "NCCL_",
    ),
    *("NPY_", "NUMPY_", "ONEDNN_", "DNNL_", "ATEN_", "TF_", "XLA_", "JAX_", "NUMBA_", "SKLEARN_", "LC_", "LOKY_"),
)
# TF_VAR_… belongs to Terraform and often holds secrets; the hash seed is a fact of the randomness pillar; the others
# decide what is printed or cached, never a result.
_EXCLUDED_PREFIXES = (
    *("TF_VAR_", "TF_CLI_", "TF_LOG", "TF_WORKSPACE", "TF_CPP_", "PYTHONHASHSEED", "PYTHONUNBUFFERED"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONBREAKPOINT", "PYTHONFAULTHANDLER", "PYTHONSTARTUP"),
)
_FLAGS = ("optimize", "no_site", "no_user_site", "ignore_environment", "isolated", "safe_path", "utf8_mode", "dev_mode")


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment pillar of a run.

    Attributes:
        document: Everything found, as JSON values; equal environments give equal documents.
        locks: Lock files of the project, strongest first.
    """

    document: Mapping[str, object]
    locks: tuple[DependencyLock, ...]

    def encode(self) -> bytes:
        """Return the document as canonical JSON."""
        return json_text(self.document).encode()

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the encoded document."""
        return digest_of(self.encode())

    def context(self) -> dict[str, str]:
        """Return the main facts as context of a run."""
        lock = self.locks[0] if self.locks else None
        python, system = self.document["python"], self.document["system"]
        distributions, numerics = self.document["distributions"], self.document["numerics"]
        return context_of(
            {
                "env.digest": self.digest,
                "env.python": _item(python, "version"),
                "env.implementation": _item(python, "implementation"),
                "env.platform": _item(system, "platform"),
                "env.lock": lock.path if lock else None,
                "env.lock_kind": lock.kind if lock else None,
                "env.lock_digest": lock.digest if lock else None,
                "env.image_digest": self.document["image_digest"],
                "env.distributions": len(distributions) if isinstance(distributions, list) else None,
                "env.threads": max_threads(numerics) if isinstance(numerics, dict) else None,
            }
        )


def find_environment(root: Path, *, environ: Mapping[str, str] = os.environ) -> Environment:
    """Find the environment of this process.

    Only libraries that are loaded already are described: call it when the training code has been imported.

    Args:
        root: Folder of the project, where the search for a lock file starts.
        environ: Environment variables; those that decide results are kept, those that may hold secrets never.
    """
    locks = find_dependency_locks(root)
    document: dict[str, object] = {
        "format": FORMAT,
        "python": _describe_python(),
        "system": _describe_system(),
        "cpu": asdict(find_cpu()),
        "distributions": find_distributions(root),
        "locks": [asdict(lock) for lock in locks],
        "image_digest": environ.get(IMAGE_VARIABLE) or None,
        "numerics": find_numerics(),
        "variables": _select_variables(environ),
    }
    return Environment(document, locks)


def _item(section: object, key: str) -> object:
    return section.get(key) if isinstance(section, Mapping) else None


def _describe_python() -> dict[str, object]:
    return {
        "version": platform.python_version(),
        "implementation": sys.implementation.name,
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "abi": sysconfig.get_config_var("SOABI"),
        "abi_flags": sys.abiflags,
        "flags": {name: getattr(sys.flags, name) for name in _FLAGS},
        "gil": _has_gil(),
    }


def _has_gil() -> bool:
    ask = getattr(sys, "_is_gil_enabled", None)
    return True if ask is None else bool(ask())


def _describe_system() -> dict[str, object]:
    libc = _find_libc()
    return {
        "platform": f"{sysconfig.get_platform()}{'-' + libc.replace(' ', '') if libc else ''}",
        "libc": libc,
        "os": _find_distribution_of_os(),
        "byte_order": sys.byteorder,
    }


def _find_libc() -> str:
    try:
        # Asks the C library itself; platform.libc_ver() reads through the interpreter's whole binary.
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return " ".join(platform.libc_ver()).strip()


def _find_distribution_of_os() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return f"{sys.platform} {platform.mac_ver()[0]}".strip()
    return f"{release.get('ID', '')} {release.get('VERSION_ID', '')}".strip()


def _select_variables(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: hide_home(redact_text(value))
        for name, value in sorted(environ.items())
        if (name in _NAMES or name.startswith(_PREFIXES))
        and not name.startswith(_EXCLUDED_PREFIXES)
        and not is_secret_variable(name)
    }
