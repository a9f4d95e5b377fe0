"""Say which environment variables a replay runs under: what decides results from the record, the rest from here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

FRESH: Final = "PYTEST_MLRUN_FRESH"
"""Set in a process that was started for one replay, and needs no further one."""

# Where programs, libraries, the network and the terminal are; what the machine can compute; how the project's plugins
# are loaded. Nothing else is handed on: not a secret, and not what one shell has and the next one lacks.
_KEPT: Final = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "CONDA_PREFIX"),
        *("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "CI"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUTF8"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONFAULTHANDLER", "PYTHONWARNINGS"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CUDA_VISIBLE_DEVICES"),
        *("OPENBLAS_CORETYPE", "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"),
        *("NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES", "BLIS_ARCH_TYPE"),
        *("PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_MLRUN_IMAGE_DIGEST"),
        *("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE"),
    }
)
_KEPT_PREFIXES: Final = ("XDG_", "NVIDIA_", "PYENV_", "DYLD_FALLBACK_", "COV_CORE_")
_HASH_SEED: Final = "PYTHONHASHSEED"
_RECORDED: Final = frozenset(
    {"TZ", "LANG", "LANGUAGE", "CUBLAS_WORKSPACE_CONFIG", "MKL_CBWR", "VECLIB_MAXIMUM_THREADS"}
)
_RECORDED_PREFIXES: Final = (
    *("LC_", "OMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "KMP_", "NUMEXPR_", "LOKY_", "TORCH_", "PYTORCH_"),
    *("CUDNN_", "TF_", "XLA_", "JAX_", "NUMBA_", "SKLEARN_", "NPY_", "ONEDNN_", "DNNL_", "ATEN_"),
)
_HIDDEN: Final = ("***", "~")


def replay_environment(
    context: Mapping[str, str],
    document: Mapping[str, object] | None,
    environ: Mapping[str, str],
    *,
    handed_on: Sequence[str] = (),
) -> dict[str, str]:
    """Return every environment variable of a process that makes a run again.

    Args:
        context: The recorded run's context.
        document: Its ``environment.json``, if it can be read.
        environ: The variables here.
        handed_on: Further names that the project needs, of ``[replay]`` in ``mlrun.toml``.
    """
    kept = {name: text for name, text in environ.items() if _is_kept(name) or name in handed_on}
    recorded = {name: text for name, text in _recorded(document) if _can_be_set(text) and name not in _KEPT}
    if document is None:
        recorded = {name: text for name, text in environ.items() if _is_recorded(name) and name not in _KEPT}
    hash_seed = json.loads(context.get("rand.hash_seed", "null"))
    fixed = {} if hash_seed is None else {_HASH_SEED: str(hash_seed)}
    return {**kept, **recorded, **fixed, "PYTHONNOUSERSITE": "1", FRESH: "1"}


def unlike_the_record(
    context: Mapping[str, str], document: Mapping[str, object] | None, environ: Mapping[str, str]
) -> list[str]:
    """Return a sentence for each variable of the record that this process does not have as it was.

    Args:
        context: The recorded run's context.
        document: Its ``environment.json``, if it can be read.
        environ: The variables here.
    """
    wanted = {name: text for name, text in _recorded(document) if name not in _KEPT}
    hash_seed = json.loads(context.get("rand.hash_seed", "null"))
    if hash_seed is not None:
        wanted[_HASH_SEED] = str(hash_seed)
    return [
        f"{name} is {environ.get(name, 'not set')}, and was {text}"
        for name, text in sorted(wanted.items())
        if environ.get(name) != text
    ]


def _recorded(document: Mapping[str, object] | None) -> Iterator[tuple[str, str]]:
    variables = (document or {}).get("variables")
    for name, text in variables.items() if isinstance(variables, Mapping) else ():
        if _is_recorded(str(name)):
            yield str(name), str(text)


def _is_kept(name: str) -> bool:
    return name in _KEPT or name.startswith(_KEPT_PREFIXES)


def _is_recorded(name: str) -> bool:
    return name in _RECORDED or name.startswith(_RECORDED_PREFIXES)


def _can_be_set(text: str) -> bool:
    # A secret or a home folder was taken out of it when it was recorded.
    return not any(hidden in text for hidden in _HIDDEN)
