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
    for link in facts.chain:
        found = _classify_link(link)
        if found is not None and found[0] == "nan" and nan is not None:
            return "nan", _say_nan(nan)
        if found is not None:
            return found
    first = facts.chain[0] if facts.chain else None
    # Workers share the control group: a failed assertion here says nothing about memory over there.
    if oom_kills > 0 and not (first is not None and first.is_a("builtins.AssertionError")):
        return "oom", f"the kernel killed {oom_kills} {'process' if oom_kills == 1 else 'processes'} for want of memory"
    if nan is not None and phase == "call":
        return "nan", _say_nan(nan)
    gate = next((link for link in facts.chain if link.is_a("pytest_mlrun.errors.GateFailure")), None)
    if gate is not None:
        return "gate", gate.line
    if first is None:
        return "unknown", ""
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
    if link.is_a(*_INTERRUPTIONS):
        return "interrupted", link.line
    if link.is_a("pytest_mlrun.errors.DataError"):
        return "data_snapshot", link.line
    if link.is_a("builtins.TimeoutError", "TimeoutExpired", "TimeoutError") or _TIMEOUT_MESSAGE.search(link.message):
        return "timeout", link.line
    # An assertion's text is the user's: "loss is nan" there is a claim, and no error of a library.
    if link.is_a("builtins.AssertionError"):
        return None
    if link.is_a("builtins.MemoryError", "OutOfMemoryError") or _OUT_OF_MEMORY.search(link.message):
        return "oom", link.line
    column = _find_column(link)
    if column is not None:
        return "data_schema", column
    if link.is_a("builtins.FloatingPointError") or _NOT_A_NUMBER.search(link.message):
        return "nan", link.line
    return None


def _find_column(link: ErrorLink) -> str | None:
    if link.is_a("MergeError"):
        return None
    raised_by_table = link.module.partition(".")[0] in _TABLE_LIBRARIES
    if link.is_a("builtins.KeyError"):
        return _find_column_in_key_error(link, raised_by_table=raised_by_table)
    for pattern in _COLUMN_MESSAGES:
        found = pattern.search(link.message)
        if found:
            return _say_columns(found[1])
    if link.is_a(*_SCHEMA_TYPES):
        name = re.fullmatch(r"['\"]?([\w .-]+)['\"]?", link.line)
        return _say_columns(name[1]) if name and link.is_a("ColumnNotFoundError") else link.line
    if _SCHEMA_MESSAGES.search(link.message):
        return link.line
    if raised_by_table and link.message.startswith("could not convert string to float"):
        return link.line
    return None


def _find_column_in_key_error(link: ErrorLink, *, raised_by_table: bool) -> str | None:
    # str(KeyError("x")) is "'x'"; of a number it has no quotes, and names a row rather than a column.
    quoted = re.fullmatch(r"(['\"])(.*)\1", link.message, re.DOTALL)
    if quoted is None or not raised_by_table:
        return None
    text = quoted[2].replace("\\'", "'")
    for pattern in _COLUMN_MESSAGES:
        found = pattern.search(text)
        if found:
            return _say_columns(found[1])
    listed = re.match(r"(?:None of \[?Index\()?\[(.+?)\].*(?:not in index|not found in axis|in the \[columns\])", text)
    if listed:
        return _say_columns(listed[1])
    return _say_columns(text) if link.module.partition(".")[0] == "pandas" and "\n" not in text else None


def _say_columns(listed: str) -> str:
    names = [name.strip().strip("'\"") for name in listed.split(",")]
    return ("column " if len(names) == 1 else "columns ") + ", ".join(repr(name) for name in names)


def _say_nan(nan: tuple[str, int | None]) -> str:
    name, step = nan
    return name if step is None else f"{name} at step {step}"
