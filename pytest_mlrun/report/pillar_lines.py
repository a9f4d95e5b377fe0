"""Describe the four pillars of a run, and who ran it where, one line each."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import fact, short_digest, show_size
from pytest_mlrun.report.unpinned import describe_draws

_SHORT_COMMIT = 10


def describe_pillars(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield a label and a line for each: code, data, environment, randomness, machine, CI.

    Args:
        run: The run; a fact that its context lacks is said to be unknown, never left to be guessed.
    """
    yield "code", _code(run)
    yield from _data(run)
    yield "environment", _environment(run)
    yield "randomness", _randomness(run)
    yield "machine", _machine(run)
    provider = fact(run, "ci.provider")
    if provider:
        yield "CI", _join(provider, fact(run, "ci.job"), fact(run, "ci.url"))


def _code(run: RunRecord) -> str:
    commit, tree = fact(run, "code.commit"), fact(run, "code.tree")
    if commit:
        dirty = fact(run, "code.dirty")
        patch = fact(run, "code.patch")
        changed = "clean" if dirty is False else "DIRTY" if dirty else "unknown whether clean"
        if dirty and patch:
            changed += f", patch {short_digest(str(patch))}"
        return _join(str(commit)[:_SHORT_COMMIT], fact(run, "code.branch"), changed, fact(run, "code.remote"))
    return f"no commit, tree {short_digest(str(tree))}" if tree else "unknown"


def _data(run: RunRecord) -> Iterator[tuple[str, str]]:
    names = [key.removeprefix("data.").removesuffix(".digest") for key in run.context if _is_digest(key)]
    for name in names:
        files, size = fact(run, f"data.{name}.files"), fact(run, f"data.{name}.bytes")
        yield (
            "data",
            _join(
                name,
                short_digest(str(fact(run, f"data.{name}.digest"))),
                fact(run, f"data.{name}.source"),
                f"{files} file{'' if files == 1 else 's'}" if files is not None else None,
                show_size(size) if isinstance(size, int) else None,
            ),
        )
    if not names:
        yield "data", "none named"


def _is_digest(key: str) -> bool:
    return key.startswith("data.") and key.endswith(".digest")


def _environment(run: RunRecord) -> str:
    python, lock, image = fact(run, "env.python"), fact(run, "env.lock"), fact(run, "env.image_digest")
    digest, count = fact(run, "env.digest"), fact(run, "env.distributions")
    return (
        _join(
            f"Python {python}" if python else None,
            fact(run, "env.platform"),
            lock or ("no lock file" if "env.lock" in run.context else None),
            f"{count} distributions" if count is not None else None,
            f"image {short_digest(str(image))}" if image else None,
            short_digest(str(digest)) if digest else None,
        )
        or "unknown"
    )


def _randomness(run: RunRecord) -> str:
    seed, source, pinned = fact(run, "rand.seed"), fact(run, "rand.seed_source"), fact(run, "rand.pinned")
    hash_seed = fact(run, "rand.hash_seed")
    parts = (
        f"seed {seed}" + (f" ({source})" if source else "") if seed is not None else None,
        f"hash seed {hash_seed or 'not fixed'}" if "rand.hash_seed" in run.context else None,
        f"pinned: {', '.join(map(str, pinned))}" if isinstance(pinned, list) and pinned else None,
        "NOT PINNED: recorded outside pytest" if fact(run, "pinned") is False else None,
        "unpinned draws not looked for" if fact(run, "rand.entropy") == "off" else None,
        f"UNPINNED: {', '.join(draws)}" if (draws := describe_draws(run)) else None,
    )
    return _join(*parts) or "unknown"


def _machine(run: RunRecord) -> str:
    user, host, memory = fact(run, "who.user"), fact(run, "host.name"), fact(run, "host.memory_bytes")
    peak, cores, worker = fact(run, "memory.peak_bytes"), fact(run, "host.cores"), fact(run, "worker")
    parts = (
        f"{user}@{host}" if user and host else host or user,
        fact(run, "host.cpu"),
        f"{cores} core{'' if cores == 1 else 's'}" if cores is not None else None,
        f"{show_size(memory)} memory" if isinstance(memory, int) else None,
        f"peak {show_size(peak)}" if isinstance(peak, int) else None,
        f"worker {worker}" if worker else None,
    )
    return _join(*parts) or "unknown"


def _join(*parts: object) -> str:
    return "  ·  ".join(str(part) for part in parts if part)
