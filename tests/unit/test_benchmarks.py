"""What the benchmarks' reports say: arithmetic, rendering, arguments. Nothing here is timed."""
# ruff: noqa: E402 - the folder of the benchmarks may not be on the import path yet

from __future__ import annotations

import ast
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last, so that an installed wheel stays the one that is tested

from benchmarks import collection as collection_benchmark
from benchmarks import compaction as compaction_benchmark
from benchmarks import logging as logging_benchmark
from benchmarks import startup as startup_benchmark
from benchmarks.comparison import (
    Kill,
    Result,
    judge_goals,
    render_kills,
    render_notes,
    render_timings,
    summarize,
)
from benchmarks.figures import (
    format_number,
    markdown_table,
    median_interval,
    paired_difference,
    paired_ratio,
    shuffled,
)
from benchmarks.idle import (
    EMPTY,
    OURS,
    VARIANTS,
    Observation,
    Times,
    empty_plugin,
    find_problems,
    judge_noise,
    make_cases,
    render_modules,
)
from benchmarks.machine import file_system_of, render_facts
from benchmarks.measurement import Timing, acknowledge, count_kept, make_values, time_logging
from benchmarks.peers import NAMES, Peer, Point, installed_versions, load_peer
from benchmarks.peers.wandb import records_of
from benchmarks.processes import measured_environment


def timing(total_us: float, *, points: int = 1000, finish_us: float = 0.0, size_bytes: int = 0) -> Timing:
    seconds = total_us * points / 1e6
    finish_s = finish_us / 1e6
    return Timing(points, 0.5, seconds - finish_s, finish_s, cpu_s=seconds, sync_s=0.001, size_bytes=size_bytes)


def result(name: str, total_us: float, *, kills: tuple[Kill, ...] = ()) -> Result:
    return Result(name, name.title(), versions={name: "1.2"}, timings=[timing(total_us)], kept=1000, kills=list(kills))


# -- figures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.2494, "0.249"), (1.0, "1.00"), (12.34, "12.3"), (99.96, "100"), (152.6, "153"), (3868.7, "3,869")],
)
def test_a_figure_has_three_significant_digits(value: float, text: str) -> None:
    assert format_number(value) == text


def test_a_table_is_markdown_with_figures_on_the_right() -> None:
    table = markdown_table(("tracker", "us"), [("a", "1.5"), ("long name", "12")])

    assert table.splitlines() == [
        "| tracker   |  us |",
        "|-----------|----:|",
        "| a         | 1.5 |",
        "| long name |  12 |",
    ]


def test_the_interval_of_a_median_is_the_sign_tests() -> None:
    # P(Binomial(30, 1/2) <= 10) = 0.0494: the 11th smallest and the 11th largest hold the median with 90 %.
    assert median_interval(list(range(30))) == (10, 19)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_values_give_their_whole_range(count: int) -> None:
    assert median_interval(list(range(count))) == (0, count - 1)


def test_differences_are_taken_round_by_round() -> None:
    slow_machine = [100.0, 200.0, 300.0, 400.0, 500.0]

    difference = paired_difference([value + 2 for value in slow_machine], slow_machine)

    assert difference == (2, 2, 2)


def test_every_round_has_its_own_order_and_the_same_one_each_time() -> None:
    orders = [tuple(shuffled("abcdef", number)) for number in range(20)]

    assert {tuple(sorted(order)) for order in orders} == {tuple("abcdef")}
    assert len(set(orders)) > 10
    assert orders == [tuple(shuffled("abcdef", number)) for number in range(20)]


# -- the comparison of trackers ----------------------------------------------------------------------------------------


def test_a_point_costs_its_share_of_the_calls_and_of_the_finish() -> None:
    timings = [timing(2.0, finish_us=500.0), timing(4.0, finish_us=500.0), timing(9.0, finish_us=500.0)]

    summary = summarize(timings, 0)

    assert (summary.us, summary.us_low, summary.us_high) == pytest.approx((4.0, 2.0, 9.0))
    assert summary.call_us == pytest.approx(3.5)
    assert summary.finish_ms == pytest.approx(0.5)


def test_bytes_a_point_leave_out_what_an_empty_run_writes() -> None:
    summary = summarize([timing(1.0, points=1000, size_bytes=730_000)], 700_000)

    assert summary.bytes == 30


def test_the_table_is_sorted_and_gives_each_trackers_ratio_to_ours() -> None:
    table = render_timings([result("mlflow", 3000.0), result("pytest_mlrun", 0.5), result("sacred", 11.0)])

    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    assert [(row[0], row[3], row[5]) for row in cells] == [
        ("Pytest_Mlrun", "0.500", "1.00"),
        ("Sacred", "11.0", "22.0"),
        ("Mlflow", "3,000", "6,000"),
    ]


def test_a_tracker_that_was_not_measured_stays_in_the_table_and_says_why() -> None:
    absent = Result("trackio", "Trackio", status="not installed")
    broken = Result("wandb", "W&B", versions={"wandb": "0.31.0"}, status="failed: OSError: no space")

    table = render_timings([absent, broken, result("pytest_mlrun", 0.5)])

    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in table.splitlines()[2:]]
    assert rows == [
        ["Pytest_Mlrun", "1.2", "1,000"],
        ["Trackio", "-", "not installed"],
        ["W&B", "0.31.0", "failed: OSError: no space"],
    ]


def test_a_tracker_that_failed_after_some_rounds_is_not_reported_as_measured() -> None:
    broken = result("wandb", 150.0)
    broken.status = "failed: timeout"

    table = render_timings([broken])

    assert "failed: timeout" in table
    assert "150" not in table


def test_without_our_own_figures_there_is_no_ratio_and_no_goal() -> None:
    results = [result("sacred", 11.0), Result("pytest_mlrun", "pytest-mlrun", status="not installed")]

    assert render_timings(results).splitlines()[2].split("|")[6].strip() == "-"
    assert judge_goals(results) == []


def test_goals_that_are_met() -> None:
    kills = (Kill(1000, 1000), Kill(70, 70))

    goals = judge_goals([result("floor", 0.1), result("pytest_mlrun", 0.5, kills=kills), result("sacred", 11.0)])

    assert goals == [
        "- met: at most 1 μs a point, all in: 0.500 μs",
        "- met: at least 10 x faster than the fastest: 22.0 x (Sacred: 11.0 μs)",
        "- met: nothing lost at SIGKILL: 0 of 1,070 points",
    ]


def test_goals_that_are_not_met() -> None:
    goals = judge_goals([result("pytest_mlrun", 1.25, kills=(Kill(1000, 999),)), result("sacred", 11.0)])

    assert goals == [
        "- NOT MET: at most 1 μs a point, all in: 1.25 μs",
        "- NOT MET: at least 10 x faster than the fastest: 8.80 x (Sacred: 11.0 μs)",
        "- NOT MET: nothing lost at SIGKILL: 1 of 1,000 points",
    ]


def test_a_single_lost_point_is_never_rounded_up_to_all() -> None:
    table = render_kills([result("wandb", 150.0, kills=(Kill(100_000, 99_999), Kill(100_000, 100_000)))])

    cells = [cell.strip() for cell in table.splitlines()[2].split("|")[1:-1]]
    assert cells == ["Wandb", "2", "200,000", "1", "99.9", "99.9"]


def test_without_kills_there_is_no_table_of_kills() -> None:
    assert render_kills([result("wandb", 150.0)]) == ""


def test_notes_are_listed_by_tracker() -> None:
    assert render_notes([Result("a", "A", note="half"), Result("b", "B")]) == "- A: half"


# -- one measurement ---------------------------------------------------------------------------------------------------


def test_a_point_is_acknowledged_when_the_call_that_logged_it_has_returned() -> None:
    history: list[str] = []
    points = acknowledge([0.5, 0.25], lambda count: history.append(f"{count} ack"), then=lambda: history.append("end"))

    for step, _ in points:
        history.append(f"log {step}")

    assert history == ["log 0", "1 ack", "log 1", "2 ack", "end"]


def test_only_acknowledged_points_with_their_value_count_as_kept_and_only_once() -> None:
    values = make_values(4)
    read = [(0, values[0]), (0, values[0]), (1, values[1] + 0.01), (3, as_32_bits(values[3])), (4, 0.5)]

    assert count_kept(iter(read), values) == 2


def test_the_values_of_a_shorter_run_begin_those_of_a_longer_one() -> None:
    # A killed run is read back with as many values as were acknowledged.
    assert make_values(100)[:10] == make_values(10)


def test_a_timing_covers_every_point_and_what_was_written(tmp_path: Path) -> None:
    logged: list[Point] = []

    def log_points(folder: Path, points: Iterable[Point]) -> None:
        logged.extend(points)
        (folder / "log").write_bytes(b"x" * 4096)

    peer = replace(load_peer("floor"), log_points=log_points)

    figures = time_logging(peer, tmp_path, [0.5, 0.25, 0.125])

    assert logged == [(0, 0.5), (1, 0.25), (2, 0.125)]
    assert (figures.points, figures.size_bytes) == (3, 4096)


def as_32_bits(value: float) -> float:
    (single,) = struct.unpack("<f", struct.pack("<f", value))
    return float(single)


# -- the trackers ------------------------------------------------------------------------------------------------------


def test_every_file_of_a_tracker_is_measured_by_default() -> None:
    files = {path.stem for path in (ROOT / "benchmarks" / "peers").glob("*.py")} - {"__init__"}

    assert set(NAMES) == files


@pytest.mark.parametrize("name", NAMES)
def test_loading_a_tracker_imports_no_tracker(name: str) -> None:
    peer = load_peer(name)

    foreign = {"dvclive", "mlflow", "sacred", "tensorboard", "tensorboardX", "trackio", "wandb"}
    assert isinstance(peer, Peer)
    assert not foreign & set(sys.modules)


def test_required_trackers_are_pinned() -> None:
    lines = (ROOT / "benchmarks" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines if "==" in line}

    needed = {distribution for name in NAMES for distribution in load_peer(name).distributions}
    others = {"blake3", "dvc", "optuna"}  # beside our hashing and our searches
    assert (needed - {"pytest-mlrun", "pyarrow"}) | others == pinned


def test_a_missing_package_means_not_installed() -> None:
    peer = replace(load_peer("floor"), distributions=("pytest", "no-such-distribution"))

    assert installed_versions(peer) is None


@pytest.mark.parametrize("sizes", [(10,), (100, 40_000, 7), (32_754,), (32_755, 5), (32_761, 90_000)])
def test_wandbs_file_is_split_into_its_messages(sizes: tuple[int, ...]) -> None:
    messages = [bytes([number]) * size for number, size in enumerate(sizes)]

    assert list(records_of(leveldb_log(messages))) == messages


def test_a_message_that_the_kill_tore_is_left_out() -> None:
    content = leveldb_log([b"whole", b"torn" * 20_000])

    assert list(records_of(content[:-1])) == [b"whole"]


def leveldb_log(messages: list[bytes]) -> bytes:
    content = bytearray(b":W&B\xe1\xbe\x00")
    for message in messages:
        rest, kind = message, 1
        while True:
            room = 32768 - len(content) % 32768
            if room < 7:
                content += bytes(room)
                room = 32768
            part, rest = rest[: room - 7], rest[room - 7 :]
            kind = {(1, True): 2, (1, False): 1, (2, True): 3, (2, False): 4}[kind, bool(rest)]
            content += struct.pack("<IHB", 0, len(part), kind) + part
            if not rest:
                break
            kind = 2
    return bytes(content)


def test_a_measured_process_is_offline_and_has_nothing_of_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-x")

    environment = measured_environment(tmp_path)

    assert environment["WANDB_MODE"] == "offline"
    assert environment["HOME"] == str(tmp_path)
    assert environment["PATH"] == os.environ["PATH"]
    assert {"WANDB_API_KEY", "PYTEST_ADDOPTS"}.isdisjoint(environment)


# -- the idle plugin ---------------------------------------------------------------------------------------------------


def test_the_empty_plugin_has_the_same_hooks_with_the_same_arguments() -> None:
    source = """
import numpy
VALUE = numpy.ones(3)

def pytest_configure(config: object) -> None:
    config.open_everything()

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    with open_run():
        return (yield)

def helper(): ...

class Hooks:
    def pytest_runtest_setup(self, item): ...
"""

    plugin = empty_plugin(source)

    assert ast.dump(ast.parse(plugin)) == ast.dump(
        ast.parse("""
import pytest

def pytest_configure(config):
    pass

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    return (yield)
""")
    )


def test_heavy_imports_and_written_files_are_problems() -> None:
    case = make_cases(2000)[0]

    problems = find_problems(case, Observation(frozenset({"json", "pyarrow"}), (".pytest_mlrun/mlrun.json",)))

    assert problems == [
        "no test, --collect-only: pyarrow was imported",
        "no test, --collect-only: .pytest_mlrun/mlrun.json was written",
    ]
    assert find_problems(case, Observation(frozenset({"json"}), ())) == []


def test_a_difference_whose_interval_holds_zero_is_noise_and_another_is_not() -> None:
    quiet, slower, few = make_cases(2000)[:3]
    baseline = [0.200, 0.210, 0.220, 0.205, 0.215, 0.200]
    times = {
        (quiet.title, EMPTY): Times(baseline),
        (quiet.title, OURS): Times([0.201, 0.209, 0.222, 0.204, 0.216, 0.199]),
        (slower.title, EMPTY): Times(baseline),
        (slower.title, OURS): Times([value + 0.021 for value in baseline]),
        (few.title, EMPTY): Times(baseline[:4]),
        (few.title, OURS): Times(baseline[:4]),
    }

    lines = judge_noise((quiet, slower, few), times)

    assert lines == [
        "- within noise: no test, --collect-only: +0.0 (-1.0 to +2.0) ms, +0.0 %",
        "- slower: no test: +21.0 (+21.0 to +21.0) ms, +10.1 %",
        "- too few rounds to say: 2000 tests, --collect-only",
    ]


def test_the_modules_that_only_we_load_are_named() -> None:
    case = make_cases(2000)[0]
    common = frozenset({"json", "pytest"})
    seen = {(case.title, variant): Observation(common, ()) for variant in VARIANTS}
    seen[case.title, OURS] = Observation(common | {"pytest_mlrun.plugin"}, ())

    text = render_modules((case,), seen)

    assert text.endswith("Only with pytest-mlrun: `pytest_mlrun.plugin`")


# -- the commands ------------------------------------------------------------------------------------------------------


def test_logging_measures_everything_by_default_and_kills_nothing() -> None:
    plan, json_file = logging_benchmark.parse_arguments([])

    assert (plan.peers, plan.points, plan.reps, plan.kills, json_file) == (NAMES, 100_000, 5, 0, None)


def test_logging_takes_a_selection_and_a_number_of_kills() -> None:
    arguments = ["--peers", "floor,wandb", "--kill", "--reps", "3", "--points", "10", "--json", "out.json"]

    plan, json_file = logging_benchmark.parse_arguments(arguments)

    assert (plan.peers, plan.points, plan.reps, plan.kills) == (("floor", "wandb"), 10, 3, 5)
    assert json_file == Path("out.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--peers", "floor,wand"], "no tracker 'wand'"), (["--reps", "0"], "invalid positive value: '0'")],
)
def test_logging_refuses_what_it_cannot_measure(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        logging_benchmark.parse_arguments(arguments)

    assert message in capsys.readouterr().err


def test_startup_measures_thirty_rounds_by_default() -> None:
    plan, json_file = startup_benchmark.parse_arguments([])

    assert (plan.tests, plan.reps, json_file) == (2000, 30, None)


def test_every_variant_runs_the_same_command_but_for_its_plugin() -> None:
    collect = make_cases(2000)[0]

    assert startup_benchmark.pytest_arguments(collect, "pytest alone") == [
        "-q", "--collect-only", "-p", "no:cacheprovider",
    ]  # fmt: skip
    assert startup_benchmark.pytest_arguments(collect, OURS)[-2:] == ["-p", "pytest_mlrun.plugin"]


def test_the_full_suite_has_as_many_tests_as_asked_for(tmp_path: Path) -> None:
    startup_benchmark.write_suites(tmp_path, 45)

    sources = [path.read_text(encoding="utf-8") for path in (tmp_path / "full").glob("test_*.py")]
    assert sum(source.count("def test_") for source in sources) == 45


def test_collection_measures_a_thousand_experiments_in_functions_and_in_sweeps() -> None:
    plan, _ = collection_benchmark.parse_arguments([])
    functions, sweeps = collection_benchmark.make_suites(plan.tests).items()

    assert (functions[0], functions[1].count("def test_")) == ("1000 functions", 50)
    assert (sweeps[0], "range(10)" in sweeps[1], sweeps[1].count("def test_")) == ("20 sweeps of 50", True, 1)


def test_experiments_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(ValueError, match="150 tests are not 20 files of sweeps over 5 rates"):
        collection_benchmark.make_suites(150)


def test_a_ratio_is_taken_round_by_round() -> None:
    assert paired_ratio([2.0, 3.0, 8.0], [1.0, 2.0, 4.0]) == (2.0, 1.5, 2.0)


@pytest.mark.parametrize(("cpu_s", "word"), [(1.1, "met"), (1.11, "NOT MET")])
def test_collection_may_cost_a_tenth_more(cpu_s: float, word: str) -> None:
    times = {("sweeps", variant): Times([9.0], [1.0]) for variant in collection_benchmark.ARGUMENTS}
    times["sweeps", collection_benchmark.SKIPPED] = Times([1.0], [cpu_s])

    lines = collection_benchmark.judge(["sweeps"], times)

    assert lines[0].startswith(f"- {word}: sweeps, pytest-mlrun: +1")
    assert lines[1].startswith("- met: sweeps, pytest-mlrun, --mlrun: +0.0 %")


@pytest.mark.slow
def test_the_report_on_collection_comes_from_pytest_itself(tmp_path: Path) -> None:
    json_file = tmp_path / "figures.json"
    arguments = ["--tests", "100", "--reps", "1", "--core", "-1", "--json", str(json_file)]

    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "collection.py", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode in {0, 1}, done.stderr
    assert "| 20 sweeps of 5 | " in done.stdout
    assert len(json.loads(json_file.read_text(encoding="utf-8"))["times"]) == 8


def test_facts_name_the_machine_and_the_command() -> None:
    facts = {
        "cpu": "EPYC", "cores": 2, "memory_gib": 23.5, "system": "Linux 6", "python": "3.11.7", "file_system": "ext4",
        "core": -1, "realtime": False, "load_average": [0.1, 0.2, 0.3],
    }  # fmt: skip

    text = render_facts(facts, "python benchmarks/logging.py")  # type: ignore[arg-type]

    assert text == (
        "2 x EPYC, 23.5 GiB, Linux 6, ext4, Python 3.11.7; not pinned, normal priority; load before [0.1, 0.2, 0.3]"
        "\n\n`python benchmarks/logging.py`"
    )


def test_a_folder_is_on_the_deepest_mount_above_it() -> None:
    mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmpfiles xfs rw 0 0\n"

    assert file_system_of(Path("/tmp/benchmark"), mounts) == "tmpfs"
    assert file_system_of(Path("/home"), mounts) == "ext4"


AS_A_SCRIPT = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
script = sys.argv[2]
sys.argv = [script, "--help"]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit:
    import logging
    logging.getLogger("tracker")
"""


@pytest.mark.parametrize(
    "name", ["collection.py", "hashing.py", "logging.py", "query.py", "short_runs.py", "startup.py"]
)
def test_run_as_a_script_our_logging_file_does_not_stand_in_for_the_standard_module(name: str) -> None:
    folder = ROOT / "benchmarks"

    done = subprocess.run(
        [sys.executable, "-P", "-c", AS_A_SCRIPT, folder, folder / name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: benchmarks/{name}" in done.stdout


def test_the_report_and_the_figures_come_from_a_process_of_their_own(tmp_path: Path) -> None:
    json_file = tmp_path / "figures.json"
    arguments = ["--peers", "floor", "--points", "3", "--reps", "1", "--kill", "1", "--json", str(json_file)]

    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "logging.py", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "| floor: list.append |" in done.stdout
    (tracker,) = json.loads(json_file.read_text(encoding="utf-8"))["trackers"]
    assert (tracker["name"], tracker["status"], len(tracker["timings"])) == ("floor", "measured", 1)
    (kill,) = tracker["kills"]
    assert (kill["acknowledged"] > 0, kill["kept"]) == (True, 0)


def test_the_benchmark_of_compaction_compacts_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file = tmp_path / "figures.json"

    assert compaction_benchmark.main(["--runs", "9", "--json", str(json_file)]) == 0

    assert "| segments | 9 | 1 |" in capsys.readouterr().out
    assert list(json.loads(json_file.read_text(encoding="utf-8"))) == ["machine", "before", "after", "wall_s", "cpu_s"]
