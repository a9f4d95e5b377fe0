"""Name the cause of a failed run: what broke, in one word, and where, in a few."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_mlrun.records.run import Cause

MAX_LINKS = 20
MAX_DETAIL_CHARS = 200
_OUT_OF_MEMORY = re.compile(
    r"out of memory|out-of-memory|cannot allocate memory|can't allocate memory|not enough memory|RESOURCE_EXHAUSTED"
    r"|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_NOT_A_NUMBER = re.compile(
    r"\bcontains? (NaN|infinity|inf)\b|\bholds? \d+ (NaN|infinite values)|\breturned nan values\b|\bloss is (nan|inf)"
    r"|\bnan or inf\b|\bis nan\b",
    re.IGNORECASE,
)
_TIMEOUT_MESSAGE = re.compile(r"Timeout \(?>?[\d.]+s\)? from pytest-timeout")
_QUOTED = r"['\"`]([^'\"`]+)['\"`]"
_COLUMN_MESSAGES = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        rf"(?:Field|Column|column) {_QUOTED}.*(?:does not exist|not found|is not present|not in)",
        r"Column (\S+) does not exist in schema",
        r"No match for FieldRef\.Name\((.+?)\)",
        r"no field of name (\S+)",
        rf"unable to find column {_QUOTED}",
        rf"Referenced column {_QUOTED} not found",
        r"Found unknown categories .* in column (\S+) during transform",
        r"Usecols do not match columns, columns expected but not found: \[(.+?)\]",
        r"columns are missing: \{(.+?)\}",
        r"[Ff]eature names seen at fit time, yet now missing:\s*- (\S[^\n]*)",
        r"[Ff]eature names unseen at fit time:\s*- (\S[^\n]*)",
    )
)
_SCHEMA_MESSAGES = re.compile(
    r"X has \d+ features, but .* is expecting \d+ features|feature names should match|feature_names mismatch"
    r"|number of features in data \(\d+\) is not the same|A given column is not a column of the dataframe"
)
_SCHEMA_TYPES = ("ColumnNotFoundError", "SchemaError", "SchemaFieldNotFoundError")
_TABLE_LIBRARIES = ("pandas", "pyarrow", "polars", "sklearn", "numpy")
_INTERRUPTIONS = ("builtins.KeyboardInterrupt", "_pytest.outcomes.Exit")


@dataclass(frozen=True, slots=True)
class ErrorLink:
    """One exception of a chain.

    Attributes:
        types: Qualified names of its class and the classes it derives from, its own first.
        message: Its text.
        module: Module of the innermost frame that it passed through: where it was raised.
    """

    types: tuple[str, ...]
    message: str
    module: str = ""

    def is_a(self, *names: str) -> bool:
        """Whether its class, or one it derives from, has one of the names, qualified or not."""
        return any(kind in names or kind.rpartition(".")[2] in names for kind in self.types)

    @property
    def line(self) -> str:
        """The first line of its text, short enough for a table."""
        first = next((line.strip() for line in self.message.splitlines() if line.strip()), "")
        return first if len(first) <= MAX_DETAIL_CHARS else first[: MAX_DETAIL_CHARS - 1] + "…"


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """What is known of a failure: its exceptions, that which was seen first, then what led to it."""

    chain: tuple[ErrorLink, ...] = ()

    @property
    def types(self) -> tuple[str, ...]:
        """Qualified class names along the chain, base classes included."""
        return tuple(kind for link in self.chain for kind in link.types)

    @property
    def messages(self) -> tuple[str, ...]:
        """Texts along the chain."""
        return tuple(link.message for link in self.chain)


def describe_error(error: BaseException | None) -> ErrorFacts:
    """Return the facts of an exception, of those that led to it, and of the members of a group.

    Args:
        error: What the test raised; None where it is not known.
    """
    return ErrorFacts(tuple(_describe(link) for link in _walk(error)))


def classify(
    facts: ErrorFacts, *, nan: tuple[str, int | None] | None = None, oom_kills: int = 0, phase: str = "call"
) -> tuple[Cause, str]:
    """Return the cause of a failed run, and its detail.

    What the exception says comes first; then the kernel's kills for want of memory; then a metric that became NaN; then
    a broken gate. A ``KeyError`` is a matter of columns only where a table library raised it.

    Args:
        facts: The failure.
        nan: Metric that was logged as NaN first, and its step.
        oom_kills: Processes that the control group lost to the kernel's out-of-memory killer during the run.
        phase: ``setup``, ``call`` or ``teardown``.
    """
    said = next((found for found in map(_classify_link, facts.chain) if found is not None), None)
    if said is not None and (said[0] != "nan" or nan is None):
        return said
    if said is None and oom_kills > 0 and not _is_assertion(facts):
        plural = "process" if oom_kills == 1 else "processes"
        return "oom", f"the kernel killed {oom_kills} {plural} for want of memory"
    if nan is not None and phase == "call":
        return "nan", nan[0] if nan[1] is None else f"{nan[0]} at step {nan[1]}"
    return said or _classify_rest(facts, phase)


def _is_assertion(facts: ErrorFacts) -> bool:
    # Workers share the control group: a failed assertion here says nothing about memory over there.
    return bool(facts.chain) and facts.chain[0].is_a("builtins.AssertionError")


def _classify_rest(facts: ErrorFacts, phase: str) -> tuple[Cause, str]:
    gate = next((link for link in facts.chain if link.is_a("pytest_mlrun.GateFailure")), None)
    if gate is not None:
        return "gate", gate.line
    if not facts.chain:
        return "unknown", ""
    first = facts.chain[0]
    where = "" if phase == "call" else f"in {phase}: "
    return "error", f"{where}{first.types[0].rpartition('.')[2]}: {first.line}".removesuffix(": ")


# -- describe ----------------------------------------------------------------------------------------------------------


def _walk(error: BaseException | None) -> Iterator[BaseException]:
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < MAX_LINKS:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(link.exceptions)
        waiting.append(link.__cause__ or (None if link.__suppress_context__ else link.__context__))


def _describe(error: BaseException) -> ErrorLink:
    kinds = (kind for kind in type(error).__mro__ if kind is not object)
    # pytest disguises Failed as a builtin; its name is all that is needed.
    return ErrorLink(
        tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds), _message_of(error), _module_of(error)
    )


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ of the user's must not hide the failure itself
        return ""


def _module_of(error: BaseException) -> str:
    trace = error.__traceback__
    module = ""
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return module


# -- classify ----------------------------------------------------------------------------------------------------------


def _classify_link(link: ErrorLink) -> tuple[Cause, str] | None:
    cause: Cause = ""
    if link.is_a(*_INTERRUPTIONS):
        cause = "interrupted"
    elif link.is_a("pytest_mlrun.DataError"):
        cause = "data_snapshot"
    elif link.is_a("TimeoutError", "TimeoutExpired") or _TIMEOUT_MESSAGE.search(link.message):
        cause = "timeout"
    elif link.is_a("builtins.AssertionError"):
        # Its text is the user's: "loss is nan" there is a claim, and no error of a library.
        return None
    elif link.is_a("MemoryError", "OutOfMemoryError") or _OUT_OF_MEMORY.search(link.message):
        cause = "oom"
    else:
        column = _find_columns(link)
        if column is not None:
            return "data_schema", column
        if link.is_a("FloatingPointError") or _NOT_A_NUMBER.search(link.message):
            cause = "nan"
    return (cause, link.line) if cause else None


def _find_columns(link: ErrorLink) -> str | None:
    if link.is_a("builtins.KeyError"):
        return _find_columns_in_key_error(link)
    named = _match_columns(link.message)
    if named is not None:
        return named
    if link.is_a("ColumnNotFoundError") and re.fullmatch(r"[\w .-]+", link.line):
        return _say_columns(link.line)
    by_table = link.module.partition(".")[0] in _TABLE_LIBRARIES
    if (
        link.is_a(*_SCHEMA_TYPES)
        or _SCHEMA_MESSAGES.search(link.message)
        or (by_table and link.message.startswith("could not convert string to float"))
    ):
        return link.line
    return None


def _match_columns(text: str) -> str | None:
    found = next(filter(None, (pattern.search(text) for pattern in _COLUMN_MESSAGES)), None)
    return _say_columns(found[1]) if found else None


def _find_columns_in_key_error(link: ErrorLink) -> str | None:
    # str(KeyError("x")) is "'x'"; of a number it has no quotes, and names a row rather than a column.
    quoted = re.fullmatch(r"(['\"])(.*)\1", link.message, re.DOTALL)
    library = link.module.partition(".")[0]
    if quoted is None or library not in _TABLE_LIBRARIES:
        return None
    text = quoted[2].replace("\\'", "'")
    listed = re.match(r"(?:None of \[?Index\()?\[(.+?)\].*(?:not in index|not found in axis|in the \[columns\])", text)
    if listed:
        return _say_columns(listed[1])
    return _match_columns(text) or (_say_columns(text) if library == "pandas" and "\n" not in text else None)


def _say_columns(listed: str) -> str:
    names = [name.strip().strip("'\"") for name in listed.split(",")]
    return ("column " if len(names) == 1 else "columns ") + ", ".join(repr(name) for name in names)
