"""The cause of a failed run is read from evidence: the exceptions, the kernel's counter, the metrics."""

from __future__ import annotations

import concurrent.futures
import subprocess
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import OneHotEncoder

from pytest_mlrun.errors import DataChangedError, DataError, GateFailure, MetricError, ParamError
from pytest_mlrun.rules.cause import ErrorFacts, classify, describe_error

TABLE = pa.table({"age": [1, 2]})


def caught(action: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as found:  # noqa: PT011 - any error will do, its class is the point
        action()
    return found.value


def raised_in(module: str, error: BaseException) -> BaseException:
    """Raise an error from a function that lives in a module of that name, as a library would."""
    scope: dict[str, object] = {"__name__": module}
    exec("def lookup(error):\n    raise error", scope)
    lookup = scope["lookup"]

    def call() -> object:
        return lookup(error)  # type: ignore[operator]

    return caught(call)


def an_error(name: str, message: str, *, module: str, base: type[BaseException] = Exception) -> BaseException:
    kind = type(name, (base,), {"__module__": module})
    return raised_in(module, kind(message))


def cause_of(error: BaseException | None) -> tuple[str, str]:
    return classify(describe_error(error), nan=None, oom_kills=0, phase="call")


# -- out of memory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no more"),
        an_error("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB", module="torch", base=RuntimeError),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        an_error("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory while trying to allocate", module="jaxlib.xla"),
        OSError(12, "Cannot allocate memory"),
        pa.lib.ArrowMemoryError("malloc of size 9 failed"),
    ],
)
def test_memory_that_ran_out_is_oom(error: BaseException) -> None:
    cause, detail = cause_of(error)

    assert cause == "oom"
    assert detail == str(error)


def test_a_real_allocation_that_fails_is_oom() -> None:
    cause, detail = cause_of(caught(lambda: np.ones(2**57)))

    assert cause == "oom"
    assert detail.startswith("Unable to allocate 1.00 EiB")


@pytest.mark.parametrize(("kills", "said"), [(1, "1 process"), (3, "3 processes")])
def test_the_kernels_counter_explains_a_broken_worker(kills: int, said: str) -> None:
    broken = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    found = classify(describe_error(broken), oom_kills=kills)

    assert found == ("oom", f"the kernel killed {said} for want of memory")


def test_the_kernels_counter_explains_a_failure_of_which_nothing_is_known() -> None:
    assert classify(ErrorFacts(), oom_kills=1)[0] == "oom"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (AssertionError("auc too low"), "error"),
        (GateFailure("floor not met: auc 0.8 < 0.9"), "gate"),
        (DataError("data 'churn' is missing"), "data_snapshot"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_kill_elsewhere_in_the_control_group_explains_no_other_failure(error: BaseException, cause: str) -> None:
    assert classify(describe_error(error), oom_kills=1)[0] == cause


# -- not a number ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        caught(lambda: Ridge().fit([[np.nan]], [1.0])),
        caught(lambda: Ridge().fit([[np.inf]], [1.0])),
        caught(lambda: Ridge().fit([[1.0]], [np.nan])),
        FloatingPointError("invalid value encountered in divide"),
        RuntimeError("Function 'MulBackward0' returned nan values in its 0th output."),
        ValueError("The loss returned in `training_step` is nan."),
        MetricError("the predictions hold 3 NaN, the first in row 17"),
        MetricError("y_true holds 1 infinite values, the first in row 0"),
    ],
)
def test_a_library_that_met_nan_says_so(error: BaseException) -> None:
    cause, detail = cause_of(error)

    assert cause == "nan"
    assert detail == str(error).splitlines()[0]


@pytest.mark.parametrize(
    ("nan", "detail"),
    [(("train_loss", 12), "train_loss at step 12"), (("auc", None), "auc"), (("loss", 0), "loss at step 0")],
)
@pytest.mark.parametrize(
    "error", [AssertionError("bad"), ValueError("Input X contains NaN."), GateFailure("floor not met: auc is NaN")]
)
def test_a_metric_that_became_nan_is_named_with_its_step(
    error: BaseException, nan: tuple[str, int | None], detail: str
) -> None:
    assert classify(describe_error(error), nan=nan) == ("nan", detail)


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_fixture_that_broke_is_not_explained_by_a_nan(phase: str) -> None:
    facts = describe_error(OSError("disk gone"))

    assert classify(facts, nan=("loss", 3), phase=phase) == ("error", f"in {phase}: OSError: disk gone")


def test_what_the_exception_says_comes_before_a_nan() -> None:
    assert classify(describe_error(TimeoutError("late")), nan=("loss", 3)) == ("timeout", "late")


def test_an_assertion_that_speaks_of_nan_is_only_an_assertion() -> None:
    assert cause_of(AssertionError("loss is nan, out of memory")) == (
        "error",
        "AssertionError: loss is nan, out of memory",
    )


# -- the schema of the data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (raised_in("pandas.core.indexes.base", KeyError("age")), "column 'age'"),
        (raised_in("pandas.core.indexing", KeyError("['age'] not in index")), "column 'age'"),
        (raised_in("pandas.core.indexing", KeyError("['age', 'sex'] not in index")), "columns 'age', 'sex'"),
        (
            raised_in(
                "pandas.core.indexing", KeyError("None of [Index(['age'], dtype='object')] are in the [columns]")
            ),
            "column 'age'",
        ),
        (raised_in("pandas.core.indexes.base", KeyError("['age'] not found in axis")), "column 'age'"),
        (
            raised_in(
                "pandas.io.parsers.base_parser",
                ValueError("Usecols do not match columns, columns expected but not found: ['age']"),
            ),
            "column 'age'",
        ),
        (caught(lambda: TABLE["sex"]), "column 'sex'"),
        (caught(lambda: TABLE.select(["sex"])), "column 'sex'"),
        (caught(lambda: TABLE.schema.field("sex")), "column 'sex'"),
        (caught(lambda: TABLE.drop_columns(["sex"])), "column 'sex'"),
        (caught(lambda: TABLE.filter(pc.field("sex") > 1)), "column 'sex'"),
        (caught(lambda: TABLE.sort_by("sex")), "column 'sex'"),
        (an_error("ColumnNotFoundError", "sex", module="polars.exceptions"), "column 'sex'"),
        (
            an_error(
                "ColumnNotFoundError", 'unable to find column "sex"; valid columns: ["age"]', module="polars.exceptions"
            ),
            "column 'sex'",
        ),
        (
            an_error("SchemaError", "invalid series dtype: expected `String`, got `i64`", module="polars.exceptions"),
            "invalid series dtype: expected `String`, got `i64`",
        ),
        (caught(lambda: np.zeros(2, dtype=[("age", "i4")])["sex"]), "column 'sex'"),
        (
            caught(lambda: Ridge().fit(np.eye(10), np.ones(10)).predict(np.ones((1, 9)))),
            "X has 9 features, but Ridge is expecting 10 features as input.",
        ),
        (
            raised_in(
                "sklearn.utils.validation",
                ValueError(
                    "The feature names should match those that were passed during fit.\n"
                    "Feature names seen at fit time, yet now missing:\n- age\n- sex\n"
                ),
            ),
            "column 'age'",
        ),
        (
            raised_in(
                "sklearn.utils.validation",
                ValueError(
                    "The feature names should match those that were passed during fit.\n"
                    "Feature names must be in the same order as they were in fit.\n"
                ),
            ),
            "The feature names should match those that were passed during fit.",
        ),
        (raised_in("sklearn.compose", ValueError("columns are missing: {'age'}")), "column 'age'"),
        (caught(lambda: OneHotEncoder().fit([["a"]]).transform([["b"]])), "column '0'"),
        (caught(lambda: Ridge().fit([["old"]], [1.0])), "could not convert string to float: 'old'"),
    ],
)
def test_a_column_that_changed_is_named(error: BaseException, detail: str) -> None:
    assert cause_of(error) == ("data_schema", detail)


@pytest.mark.parametrize(
    "error",
    [
        caught(lambda: {"a": 1}["age"]),
        raised_in("churn.features", KeyError("age")),
        raised_in("sklearn.svm._base", KeyError("rbff")),
        raised_in("pandas.core.indexes.base", KeyError(7)),
        an_error("MergeError", "No common columns to perform merge on", module="pandas.errors", base=ValueError),
        caught(lambda: float("old")),
    ],
)
def test_a_lookup_that_is_not_about_columns_is_a_plain_error(error: BaseException) -> None:
    assert cause_of(error)[0] == "error"


def test_pandas_raising_from_its_own_lookup_is_about_the_column() -> None:
    inner = raised_in("pandas._libs.hashtable", KeyError("age"))
    outer = KeyError("age")
    outer.__cause__ = inner

    assert cause_of(raised_in("pandas.core.indexes.base", outer)) == ("data_schema", "column 'age'")


# -- snapshots, time, interruption, gates ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DataError, DataChangedError])
def test_a_snapshot_that_does_not_hold_is_data_snapshot(kind: type[DataError]) -> None:
    error = kind("data 'churn' changed", details=("changed: a.csv",))

    assert cause_of(error) == ("data_snapshot", "data 'churn' changed")


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("10 s"),
        concurrent.futures.TimeoutError("10 s"),
        subprocess.TimeoutExpired(["train"], 10),
        an_error("TimeoutError", "10 s", module="multiprocessing.context"),
        caught(lambda: pytest.fail("Timeout (>1.0s) from pytest-timeout.")),
    ],
)
def test_time_that_ran_out_is_a_timeout(error: BaseException) -> None:
    assert cause_of(error) == ("timeout", str(error))


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), caught(lambda: pytest.exit("stop"))])
def test_a_person_who_stopped_the_session_interrupted(error: BaseException) -> None:
    assert cause_of(error) == ("interrupted", "stop")


def test_a_broken_gate_is_a_gate_with_its_first_line() -> None:
    error = GateFailure("floor not met: auc 0.8121 < 0.83", next_step="improve")

    assert cause_of(error) == ("gate", "floor not met: auc 0.8121 < 0.83")


# -- the rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("bad\nworse"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (ParamError("param 'x' cannot be recorded"), "ParamError: param 'x' cannot be recorded"),
        (caught(lambda: pytest.fail("no good")), "Failed: no good"),
        (ValueError("x" * 300), "ValueError: " + "x" * 199 + "…"),
    ],
)
def test_anything_else_is_an_error_with_its_first_line(error: BaseException, detail: str) -> None:
    assert cause_of(error) == ("error", detail)


def test_a_failure_of_which_nothing_is_known_is_unknown() -> None:
    assert cause_of(None) == ("unknown", "")


def test_an_error_that_cannot_say_anything_still_has_a_class() -> None:
    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    facts = describe_error(BrokenError())

    assert facts.messages == ("",)
    assert facts.chain[0].types[0].endswith("BrokenError")


def test_the_cause_behind_an_error_is_found() -> None:
    outer = RuntimeError("training failed")
    outer.__cause__ = ValueError("step failed")
    outer.__cause__.__context__ = MemoryError("no more")

    assert cause_of(outer) == ("oom", "no more")


def test_a_context_that_was_hidden_is_not_searched() -> None:
    def hide() -> None:
        try:
            raise MemoryError("handled")
        except MemoryError:
            raise ValueError("bad") from None

    assert cause_of(caught(hide)) == ("error", "ValueError: bad")


def test_the_outermost_evidence_wins() -> None:
    outer = TimeoutError("late")
    outer.__cause__ = MemoryError("no more")

    assert cause_of(outer)[0] == "timeout"


def test_the_members_of_a_group_are_searched() -> None:
    group = ExceptionGroup("two", [ValueError("bad"), MemoryError("no more")])

    assert cause_of(group) == ("oom", "no more")


def test_a_chain_that_runs_in_a_circle_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first

    assert describe_error(first).messages == ("a", "b")


def test_facts_name_classes_and_the_module_that_raised() -> None:
    facts = describe_error(raised_in("pandas.core.indexes.base", KeyError("age")))

    assert facts.types == ("builtins.KeyError", "builtins.LookupError", "builtins.Exception", "builtins.BaseException")
    assert facts.chain[0].module == "pandas.core.indexes.base"
    assert facts.chain[0].message == "'age'"
