"""``mlrun.toml`` says what it says, and a slip of the pen is told with its cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mlrun.errors import ConfigError
from pytest_mlrun.project import find_project, read_project
from pytest_mlrun.records.project import DataSource, Leaderboard, MetricDefinition, Naming, Project
from pytest_mlrun.records.retention import Retention

FULL = """
[data.churn]
path = "data/churn.parquet"
keep = "copy"
role = "holdout"
feature_view = "customers@3"
looks = 20

[data.images]
path = "s3://bucket/images?region=eu-west-1"
keep = "reference"

[metrics.val_log_loss]
goal = "min"
range = [0, inf]
unit = "nats"
owner = "retention"

[metrics.val_roc_auc]

[naming]
run_name = "churn-lr{learning_rate}"
allowed = ["learning_rate", "depth"]
refused = { lr = "learning_rate" }
required_params = ["learning_rate"]
required_tags = ["stage"]
required_artifacts = ["model.*"]
closed_metrics = true

[naming.tags]
stage = ["sweep", "winner"]

[naming.run_names]
churn = "{test}"

[leaderboard.churn-2026q2]
by = "val_log_loss"
where = "val_roc_auc >= 0.85"
goal = "min"

[leaderboard."with space"]
by = "val_roc_auc"

[aliases.production]
approvals = 2
min_age = "14d"

[retention]
exploratory_days = 30
registered_years = 15
top = 5
pin = "evidence"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mlrun.toml"


def test_everything_that_can_be_said_is_read(file: Path) -> None:
    file.write_text(FULL)

    project = read_project(file)

    assert project == Project(
        root=file.parent,
        config_file=file,
        data={
            "churn": DataSource("churn", "data/churn.parquet", "copy", "holdout", "customers@3", 20),
            "images": DataSource("images", "s3://bucket/images?region=eu-west-1", "reference"),
        },
        metrics={
            "val_log_loss": MetricDefinition("val_log_loss", "min", 0.0, float("inf"), "nats", "retention"),
            "val_roc_auc": MetricDefinition("val_roc_auc"),
        },
        naming=Naming(
            run_name="churn-lr{learning_rate}",
            run_names={"churn": "{test}"},
            allowed=("learning_rate", "depth"),
            refused={"lr": "learning_rate"},
            required_params=("learning_rate",),
            required_tags=("stage",),
            required_artifacts=("model.*",),
            closed_metrics=True,
            tags={"stage": ("sweep", "winner")},
        ),
        leaderboards={
            "churn-2026q2": Leaderboard("churn-2026q2", "val_log_loss", "val_roc_auc >= 0.85", "min"),
            "with space": Leaderboard("with space", "val_roc_auc"),
        },
        aliases={"production": {"approvals": 2, "min_age": "14d"}},
        retention=Retention(exploratory_days=30, registered_years=15, top=5, pin="evidence"),
    )
    assert project.lock_file == file.parent / "mlrun.lock"


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    file.touch()

    assert read_project(file) == Project(root=file.parent, config_file=file)


@pytest.mark.parametrize(
    ("text", "headline", "place", "cure"),
    [
        ("[dat.churn]\n", "unknown section 'dat'; did you mean 'data'?", "", "it takes: data, metrics, naming"),
        ("experiment = 'x'\n", "unknown section 'experiment'", "", "it takes: data, metrics"),
        ("[data.churn]\npth = 'x'", "unknown key 'pth' in [data.churn]; did you mean 'path'?", "[data.churn]", "path"),
        (
            "[data.churn]\nuri = 's3://b/x'",
            "unknown key 'uri' in [data.churn]; did you mean 'path'?",
            "[data.churn]",
            "",
        ),
        (
            "[metrics.auc]\ngoals = 'max'",
            "unknown key 'goals' in [metrics.auc]; did you mean 'goal'?",
            "[metrics.auc]",
            "",
        ),
        (
            "[naming]\nrequired = ['a']",
            "unknown key 'required' in [naming]; did you mean 'required_params'?",
            "[naming]",
            "",
        ),
        ("[leaderboard.x]\nsort = 'a'", "unknown key 'sort' in [leaderboard.x]", "[leaderboard.x]", "by, where, goal"),
        ("data = 'churn.csv'", "data must be a section, not 'churn.csv'", "", "[data]"),
        ("[data]\nchurn = 'churn.csv'", "data.churn must be a section, not 'churn.csv'", "[data]", "[data.churn]"),
        ("[[metrics]]\nx = 1", "metrics must be a section, not [", "", "[metrics]"),
        (
            "[aliases]\nproduction = 1",
            "aliases.production must be a section, not 1",
            "[aliases]",
            "[aliases.production]",
        ),
        ("retention = 90", "retention must be a section, not 90", "", "[retention]"),
        (
            "[retention]\nexploratory = '90d'",
            "unknown key 'exploratory' in [retention]; did you mean 'exploratory_days'?",
            "[retention]",
            "it takes: exploratory_days, registered_years, top, pin",
        ),
        (
            "[retention]\nexploratory_days = 0",
            "retention.exploratory_days must be a whole number of 1 or more, not 0",
            "[retention]",
            "exploratory_days = 5",
        ),
        (
            "[retention]\nyears = 7",
            "unknown key 'years' in [retention]; did you mean 'registered_years'?",
            "[retention]",
            "it takes: exploratory_days, registered_years, top, pin",
        ),
        (
            "[retention]\nregistered_years = 'ever'",
            "retention.registered_years must be a whole number of 1 or more, not 'ever'",
            "[retention]",
            "registered_years = 5",
        ),
        ("[data.churn]\n", "[data.churn] needs 'path'", "[data.churn]", 'path = "…"'),
        ("[leaderboard.x]\n", "[leaderboard.x] needs 'by'", "[leaderboard.x]", 'by = "…"'),
        ("[data.churn]\npath = 3", "data.churn.path must be text, not 3", "[data.churn]", 'path = "…"'),
        ("[data.churn]\npath = ''", "data.churn.path must be a path or a URI", "[data.churn]", "data/churn.csv"),
        (
            "[data.churn]\npath = 'x'\nkeep = 'yes'",
            'data.churn.keep must be "copy" or "reference", not \'yes\'',
            "",
            "",
        ),
        ("[data.churn]\npath = 'x'\nlooks = 0", "data.churn.looks must be a whole number of 1 or more, not 0", "", ""),
        (
            "[data.churn]\npath = 'x'\nlooks = true",
            "data.churn.looks must be a whole number of 1 or more, not True",
            "",
            "",
        ),
        (
            "[data.churn]\npath = 'x'\nlooks = 1.0",
            "data.churn.looks must be a whole number of 1 or more, not 1.0",
            "",
            "",
        ),
        ("[data.'a b']\npath = 'x'", "data 'a b': a name is made of letters, digits, '_' and '-'", "", "rename"),
        ("[data.'a.b']\npath = 'x'", "data 'a.b': a name is made of letters", "", "rename"),
        ("[metrics.auc]\ngoal = 'up'", 'metrics.auc.goal must be "max" or "min", not \'up\'', "[metrics.auc]", ""),
        (
            "[metrics.auc]\ngoal = ['max']",
            'metrics.auc.goal must be "max" or "min", not [\'max\']',
            "[metrics.auc]",
            "",
        ),
        (
            "[metrics.auc]\nrange = [1]",
            "metrics.auc.range must be two numbers, low then high, not [1]",
            "",
            "[0.0, 1.0]",
        ),
        ("[metrics.auc]\nrange = [1, 0]", "metrics.auc.range must be two numbers, low then high, not [1, 0]", "", ""),
        (
            "[metrics.auc]\nrange = [0, nan]",
            "metrics.auc.range must be two numbers, low then high, not [0, nan]",
            "",
            "",
        ),
        ("[metrics.auc]\nrange = [false, 1]", "metrics.auc.range must be two numbers, low then high", "", ""),
        ("[metrics.auc]\nrange = '0-1'", "metrics.auc.range must be two numbers, low then high, not '0-1'", "", ""),
        (
            "[leaderboard.x]\nby = 'a'\nwhere = 'a >> 1'",
            "leaderboard.x.where cannot be understood: ",
            "[leaderboard.x]",
            "",
        ),
        ("[naming.run_name]\nx = 1", "naming.run_name must be text, not a section", "[naming]", ""),
        ("[naming]\nallowed = 'lr'", "naming.allowed must be a list of texts, not 'lr'", "[naming]", "allowed = ["),
        ("[naming]\nallowed = [1]", "naming.allowed must be a list of texts, not [1]", "[naming]", ""),
        ("[naming]\nrefused = ['lr']", "naming.refused must be a section, not ['lr']", "[naming]", "[naming.refused]"),
        ("[naming.refused]\nlr = 1", "naming.refused.lr must be text, not 1", "[naming.refused]", ""),
        ("[naming.tags]\nstage = 'a'", "naming.tags.stage must be a list of texts, not 'a'", "[naming.tags]", ""),
        ("[naming]\nrefused = {a = 'b'}\nrequired_params = ['a']", "'a' is required and refused", "[naming]", ""),
        (
            "[naming]\nallowed = ['b']\nrequired_params = ['a']",
            "'a' is required and not allowed",
            "[naming]",
            "allowed",
        ),
        ("[naming]\nrequired_tags = ['a']\nrefused = {a = 'b'}", "'a' is required and refused", "[naming]", ""),
        (
            "[naming]\nrequired_tags = ['a']\ntags = {b = []}",
            "naming.required_tags 'a' is required and not in the vocabulary",
            "[naming]",
            "add it to tags: a = []",
        ),
        ("[naming]\nclosed_metrics = 'yes'", "naming.closed_metrics must be true or false, not 'yes'", "", "= true"),
        ("[naming]\nclosed_metrics = true", "naming.closed_metrics leaves no metric to log", "[naming]", "[metrics."),
        ("[naming]\nmetrics = ['a']", "unknown key 'metrics' in [naming]; did you mean 'closed_metrics'?", "", ""),
        ("[naming]\nrefused = {a = 'b'}\n[metrics.a]", "'a' is declared in [metrics] and refused", "[naming]", ""),
        (
            "[naming]\nclosed_metrics = true\n[metrics.val_auc]\n[leaderboard.x]\nby = 'val_acu'",
            "leaderboard.x.by 'val_acu' is not in the vocabulary; did you mean 'val_auc'?",
            "[leaderboard.x]",
            "use one of: val_auc",
        ),
        ("[naming]\nallowed = ['a']\nrefused = {a = 'b'}", "'a' is allowed and refused", "[naming]", ""),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place_and_its_cure(
    file: Path, text: str, headline: str, place: str, cure: str
) -> None:
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        read_project(file)

    assert caught.value.headline.startswith("mlrun.toml: ")
    assert headline in caught.value.headline
    assert caught.value.where.startswith(str(file))
    assert place in caught.value.where
    assert cure in caught.value.next_step


@pytest.mark.parametrize(
    "uri",
    [
        "s3://key:secret@bucket/x",
        "abfs://:password@account.dfs.core.windows.net/x",
        "s3://bucket/x?secret_key=1",
        "https://host/x?a=1&token=2",
        "gs://bucket/x?credential_kind=y",
    ],
)
def test_a_password_does_not_belong_in_a_committed_file(file: Path, uri: str) -> None:
    file.write_text(f"[data.churn]\npath = '{uri}'")

    with pytest.raises(ConfigError, match=r"mlrun.toml: data.churn.path holds a password") as caught:
        read_project(file)

    assert "secret@" not in str(caught.value)
    assert "environment" in caught.value.next_step


@pytest.mark.parametrize(
    "path", ["s3://bucket/a:b@c/x", "s3://user@bucket/x", "data/a:b@c.csv", "hdfs://host:8020/x", "a?token=b.csv"]
)
def test_a_path_that_only_looks_like_a_password_is_read(file: Path, path: str) -> None:
    file.write_text(f"[data.churn]\npath = '{path}'")

    assert read_project(file).data["churn"].source == path


def test_a_syntax_error_is_told_with_its_line(file: Path) -> None:
    file.write_text("[data.churn]\n\npath = data/churn.csv\n")

    with pytest.raises(ConfigError, match=r"mlrun.toml is not TOML: Invalid value") as caught:
        read_project(file)

    assert caught.value.where == f"{file}:3"
    assert caught.value.next_step


def test_a_syntax_error_at_the_end_is_told_without_a_line(file: Path) -> None:
    file.write_text("[data.churn]\npath = ")

    with pytest.raises(ConfigError, match=r"mlrun.toml is not TOML: ") as caught:
        read_project(file)

    assert caught.value.where.startswith(str(file))


def test_a_section_that_is_there_twice_is_told(file: Path) -> None:
    file.write_text("[data.churn]\npath = 'a'\n[data.churn]\npath = 'b'\n")

    with pytest.raises(ConfigError, match=r"mlrun.toml is not TOML: Cannot declare"):
        read_project(file)


def test_a_file_that_is_not_utf8_is_told(file: Path) -> None:
    file.write_bytes(b"# caf\xe9\n")

    with pytest.raises(ConfigError, match=r"mlrun.toml is not UTF-8"):
        read_project(file)


def test_a_file_that_cannot_be_read_is_told(file: Path) -> None:
    file.mkdir()

    with pytest.raises(ConfigError, match=r"mlrun.toml cannot be read: Is a directory"):
        read_project(file)


def test_the_nearest_file_above_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "churn" / "tests" / "unit"
    deep.mkdir(parents=True)
    (tmp_path / "mlrun.toml").touch()
    (tmp_path / "churn" / "mlrun.toml").touch()
    (deep / "test_model.py").touch()

    assert find_project(deep, stop=tmp_path).config_file == tmp_path / "churn" / "mlrun.toml"
    assert find_project(deep / "test_model.py", stop=tmp_path).root == tmp_path / "churn"
    assert find_project(tmp_path, stop=tmp_path).root == tmp_path


def test_nobody_looks_above_the_stop(tmp_path: Path) -> None:
    (tmp_path / "mlrun.toml").touch()
    stop = tmp_path / "repository"
    (stop / "tests").mkdir(parents=True)

    assert find_project(stop / "tests", stop=stop) == Project(root=stop)


def test_the_stop_itself_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "mlrun.toml").touch()
    (tmp_path / "tests").mkdir()

    assert find_project(tmp_path / "tests", stop=tmp_path).config_file == tmp_path / "mlrun.toml"


def test_outside_the_stop_only_the_start_is_looked_at(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "tests").mkdir(parents=True)
    stop = tmp_path / "repository"
    (elsewhere / "mlrun.toml").touch()

    assert find_project(elsewhere / "tests", stop=stop) == Project(root=stop)
    assert find_project(elsewhere, stop=stop).root == elsewhere


def test_relative_paths_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlrun.toml").touch()
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)

    assert find_project(Path("tests"), stop=Path()) == find_project(tmp_path / "tests", stop=tmp_path)
    assert read_project(Path("mlrun.toml")).root == tmp_path


def test_a_project_behind_a_link_keeps_the_path_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "mlrun.toml").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert find_project(tmp_path / "link", stop=tmp_path).root == tmp_path / "link"
