"""A URI is copied into the folder given, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pyarrow.fs
import pytest

from pytest_mlrun.errors import DataError
from pytest_mlrun.store.remote import fetch_uri, hide_password


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def serve(monkeypatch: pytest.MonkeyPatch, handler: pyarrow.fs.FileSystemHandler, path: str) -> None:
    filesystem = pyarrow.fs.PyFileSystem(handler)
    fake = type("FileSystem", (), {"from_uri": staticmethod(lambda _uri: (filesystem, path))})
    monkeypatch.setattr(pyarrow.fs, "FileSystem", fake)


class Bucket(pyarrow.fs.FileSystemHandler):  # type: ignore[misc]
    """An object store: any text is a key."""

    def __init__(self, objects: dict[str, bytes], *, error: Exception | None = None) -> None:
        self.objects = objects
        self.error = error

    def get_type_name(self) -> str:
        return "bucket"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[pyarrow.fs.FileInfo]:
        if self.error is not None:
            raise self.error
        kinds = pyarrow.fs.FileType
        return [pyarrow.fs.FileInfo(path, kinds.File if path in self.objects else kinds.Directory) for path in paths]

    def get_file_info_selector(self, _selector: pyarrow.fs.FileSelector) -> list[pyarrow.fs.FileInfo]:
        return [pyarrow.fs.FileInfo(path, pyarrow.fs.FileType.File) for path in self.objects]

    def open_input_stream(self, path: str) -> pyarrow.PythonFile:
        return pyarrow.PythonFile(pyarrow.BufferReader(self.objects[path]), mode="r")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = None
    move = copy_file = open_input_file = open_output_stream = open_append_stream = None


def test_a_file_arrives_under_its_own_name(tmp_path: Path, into: Path) -> None:
    source = tmp_path / "churn.csv"
    source.write_bytes(b"a,b\n" * 3_000_000)

    copy = fetch_uri(source.as_uri(), into)

    assert copy == into / "churn.csv"
    assert copy.read_bytes() == source.read_bytes()


def test_a_folder_arrives_with_everything_in_it(tmp_path: Path, into: Path) -> None:
    source = tmp_path / "churn"
    (source / "2026" / "q2").mkdir(parents=True)
    (source / "2026" / "q2" / "a.bin").write_bytes(b"a")
    (source / ".hidden").write_bytes(b"h")

    copy = fetch_uri(source.as_uri(), into)

    assert copy == into / "churn"
    assert tree(copy) == {"2026/q2/a.bin": b"a", ".hidden": b"h"}


def test_nothing_at_the_address_is_said(tmp_path: Path, into: Path) -> None:
    uri = (tmp_path / "missing.csv").as_uri()

    with pytest.raises(DataError, match=f"nothing was found at {uri}") as caught:
        fetch_uri(uri, into)

    assert caught.value.next_step
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("uri", ["http://example.org/churn.csv", "ftp://host/x", "quilt://a/b"])
def test_an_unknown_scheme_names_those_that_are_known(into: Path, uri: str) -> None:
    with pytest.raises(DataError, match=r"no file system is known for \w+: ") as caught:
        fetch_uri(uri, into)

    assert "s3" in caught.value.next_step


def test_a_uri_that_pyarrow_cannot_read_is_explained(into: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be fetched: file://other/x\n  Unsupported hostname"):
        fetch_uri("file://other/x", into)


def test_a_root_is_no_data(into: Path) -> None:
    with pytest.raises(DataError, match="the URI names no file or folder: file:///"):
        fetch_uri("file:///", into)


@pytest.mark.parametrize(
    "message",
    [
        "When reading information for key 'x' in bucket 'b': AWS Error ACCESS_DENIED during HeadObject operation",
        "google::cloud::Status(PERMISSION_DENIED: Permission denied: Anonymous caller does not have access)",
        "Azure: AuthenticationFailed. HTTP 403",
    ],
)
def test_refused_access_speaks_of_credentials(into: Path, monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    serve(monkeypatch, Bucket({}, error=OSError(message)), "b/x")

    with pytest.raises(DataError, match="access was refused: s3://b/x") as caught:
        fetch_uri("s3://b/x", into)

    assert "credentials" in caught.value.next_step


def test_another_failure_shows_the_first_line_of_its_reason(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Bucket({}, error=OSError("NETWORK_CONNECTION: no route\nmore")), "b/x")

    with pytest.raises(DataError, match="cannot be fetched: s3://b/x") as caught:
        fetch_uri("s3://b/x", into)

    assert caught.value.details == ("NETWORK_CONNECTION: no route",)


@pytest.mark.parametrize(
    "key",
    [
        "b/x/../../evil",
        "b/x/..",
        "b/x//evil",
        "b/x/./evil",
        "b/evil",
        "/etc/evil",
        "b/xevil",
        "b/x/\0evil",
        "b/x/../evil",
    ],
)
def test_an_object_s_name_never_leads_out_of_the_folder(
    tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    serve(monkeypatch, Bucket({key: b"evil"}), "b/x")

    with pytest.raises(DataError, match="an object's name cannot be a file's name"):
        fetch_uri("s3://b/x", into)

    assert tree(tmp_path) == {}


def test_an_object_and_a_folder_of_the_same_name_are_refused(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Bucket({"b/x/a": b"1", "b/x/a/b": b"2"}), "b/x")

    with pytest.raises(DataError, match="two objects have the same name here"):
        fetch_uri("s3://b/x", into)


def test_a_later_object_overwrites_no_earlier_one(tmp_path: Path, into: Path) -> None:
    source = tmp_path / "churn.csv"
    source.write_bytes(b"new")
    (into / "churn.csv").write_bytes(b"old")

    with pytest.raises(DataError, match=r"two objects have the same name here: 'churn.csv'"):
        fetch_uri(source.as_uri(), into)

    assert (into / "churn.csv").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://key:secret@bucket/a?region=x", "s3://bucket/a"),
        ("s3://key:sec@ret@bucket/a", "s3://bucket/a"),
        ("s3://bucket/a@b?token=t", "s3://bucket/a@b"),
        ("file:///data/churn.csv", "file:///data/churn.csv"),
    ],
)
def test_no_message_shows_a_password(uri: str, shown: str) -> None:
    assert hide_password(uri) == shown


def test_a_password_in_a_uri_that_cannot_be_parsed_is_not_shown(into: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch_uri("s3://key:sec@ret@bucket/a", into)

    assert "sec" not in str(caught.value)
    assert "ret@" not in str(caught.value)
