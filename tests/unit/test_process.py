"""What is recorded about the process holds no secret."""

from __future__ import annotations

import json
import os

import pytest

from pytest_mlrun.pillars.process import find_process
from pytest_mlrun.pillars.redaction import (
    hide_home,
    holds_secret,
    is_secret_file,
    is_secret_variable,
    redact_arguments,
    redact_text,
    strip_credentials,
)


def test_the_command_line_and_the_process_are_context() -> None:
    context = find_process(["pytest", "--mlrun", "--token", "hunter2"])

    assert json.loads(context["process.argv"]) == ["pytest", "--mlrun", "--token", "***"]
    assert context["process.pid"] == str(os.getpid())


@pytest.mark.parametrize(
    ("arguments", "redacted"),
    [
        (["--token=hunter2"], ["--token=***"]),
        (["--token", "hunter2", "tests"], ["--token", "***", "tests"]),
        (["--db-password", "hunter2"], ["--db-password", "***"]),
        (["--dbPassword=hunter2"], ["--dbPassword=***"]),
        (["--api-key", "hunter2"], ["--api-key", "***"]),
        (["--apikey=hunter2"], ["--apikey=***"]),
        (["AWS_SECRET_ACCESS_KEY=hunter2"], ["AWS_SECRET_ACCESS_KEY=***"]),
        (["-e", "MY_TOKEN=hunter2"], ["-e", "MY_TOKEN=***"]),
        (["--override-ini=api_token=hunter2"], ["--override-ini=api_token=***"]),
        (["-oapi_token=hunter2"], ["-oapi_token=***"]),
        (["--auth", "user:hunter2"], ["--auth", "***"]),
        (["--password", "a=b hunter2"], ["--password", "***"]),
        (["--header", "X-Api-Key: hunter2"], ["--header", "X-Api-Key: ***"]),
        (["Authorization: Bearer hunter2"], ["Authorization: ***"]),
        (["say bearer hunter2 now"], ["say bearer *** now"]),
        (['{"user": "me", "password": "hunter2"}'], ['{"user": "me", "password": ***}']),
        (["--store", "s3://key:hunter2@bucket/runs"], ["--store", "s3://bucket/runs"]),
        (["https://host/a?sig=hunter2&x=1"], ["https://host/a"]),
        (["ghp_" + "a1" * 18], ["***"]),
        (["--use=sk-" + "a1" * 18], ["--use=***"]),
    ],
)
def test_a_secret_does_not_survive_redaction(arguments: list[str], redacted: list[str]) -> None:
    assert redact_arguments(arguments) == redacted


@pytest.mark.parametrize(
    "arguments",
    [
        ["pytest", "-k", "token and not secret", "tests/test_token.py::test_a[lr=0.1-key_size=3]", "-x"],
        ["--max-tokens=512", "--tokenizer", "bert", "--monkey=1", "--author", "me", "--keyword=a"],
        ["--no-auth", "--password", "-q"],
        ["--mlrun-seed", "42", "-m", "mlrun", "C:\\data", "a:b", "git@host:team/repo"],
        ["--store=s3://bucket/runs", "file:///tmp/a b"],
    ],
)
def test_what_is_no_secret_stays_readable(arguments: list[str]) -> None:
    assert redact_arguments(arguments) == arguments


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://user:secret@host/repo.git", "https://host/repo.git"),
        ("https://token@host/repo", "https://host/repo"),
        ("https://user:se/cr@et@host/repo", "https://host/repo"),
        ("https://user:se#cret@host/repo", "https://host/repo"),
        ("https://user:p@ss@host:8443/repo", "https://host:8443/repo"),
        ("https://host/repo?token=secret#frag", "https://host/repo"),
        ("https://host:8443/@scope/package", "https://host:8443/@scope/package"),
        ("https://[::1]:8443/@scope/package", "https://[::1]:8443/@scope/package"),
        ("ssh://git:secret@host/repo", "ssh://git@host/repo"),
        ("git+ssh://git@host/repo", "git+ssh://git@host/repo"),
        ("git+https://oauth2:secret@host/repo@v1", "git+https://host/repo@v1"),
        ("user:secret@host:team/repo", "host:team/repo"),
        ("git@host:team/repo", "git@host:team/repo"),
        ("/srv/git/repo.git", "/srv/git/repo.git"),
        ("", ""),
    ],
)
def test_a_url_keeps_its_place_and_loses_its_credentials(url: str, stripped: str) -> None:
    assert strip_credentials(url) == stripped


def test_a_query_is_kept_only_where_asked() -> None:
    assert strip_credentials("https://u:p@host/a?build=1#b", keep_query=True) == "https://host/a?build=1#b"


def test_several_urls_in_one_text_are_all_cleaned() -> None:
    text = "'https://a:b@one/x','https://c:d@two/y'"

    assert redact_text(text) == "'https://one/x','https://two/y'"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("/home/me/a:/home/me:/opt", "~/a:~:/opt"),
        ("/home/merle/a", "/home/merle/a"),
        ("/mnt/home/me/a", "/mnt/home/me/a"),
    ],
)
def test_the_home_folder_is_hidden_where_it_is_meant(text: str, hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert hide_home(text) == hidden


@pytest.mark.parametrize("home", ["/", ""])
def test_a_home_that_is_no_folder_of_its_own_hides_nothing(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)

    assert hide_home("/opt/a") == "/opt/a"


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "db_password", "PYTHON_KEYRING", "TORCH_AUTH", "MKL_PASSPHRASE"])
def test_a_variable_that_may_hold_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret_variable(name)
    assert not is_secret_variable("OMP_NUM_THREADS")


def test_a_secret_file_is_known_by_its_name_or_its_content() -> None:
    assert [is_secret_file(name) for name in (".ENV", "id_ed25519.pub", "key.py", "environment.yml")] == [
        *(True, True, False, False)
    ]
    assert [holds_secret(content) for content in (b"-----BEGIN PRIVATE KEY-----", b"key = 1", b"\xff\0")] == [
        *(True, False, False)
    ]
