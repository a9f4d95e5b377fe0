"""Digest, listing and lock hold for any names and contents."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.pillars.snapshots.lockfile import read_lock, write_lock
from pytest_mlrun.pillars.snapshots.manifest import compute_listing_digest, hash_source
from pytest_mlrun.pillars.snapshots.verify import describe_changes
from pytest_mlrun.records.snapshot import FileEntry, Manifest

names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=12).filter(
    lambda name: name not in {".", "..", ".DS_Store", "Thumbs.db"}
)
trees = st.dictionaries(
    st.tuples(names) | st.tuples(names, names), st.binary(max_size=8), min_size=1, max_size=5
).filter(lambda tree: not {path[0] for path in tree if len(path) > 1} & {path[0] for path in tree if len(path) == 1})
entries = st.builds(
    FileEntry,
    path=st.lists(names, min_size=1, max_size=3).map("/".join),
    size_bytes=st.integers(0, 2**60),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
)
listings = st.lists(entries, min_size=1, max_size=5, unique_by=lambda entry: entry.path).map(
    lambda files: tuple(sorted(files, key=lambda entry: entry.path.encode()))
)
# Few and treacherous values, so that a listing without separators would soon give two of them one digest.
confusable = st.lists(
    st.builds(
        FileEntry,
        path=st.text("a1\n", min_size=1, max_size=2),
        size_bytes=st.integers(0, 11),
        sha256=st.sampled_from(["1" * 64, "a" * 64]),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda entry: entry.path,
).map(lambda files: tuple(sorted(files, key=lambda entry: entry.path.encode())))


def folder_of(files: tuple[FileEntry, ...]) -> Manifest:
    return Manifest(compute_listing_digest(files), files, "folder")


@settings(max_examples=30, deadline=None)
@given(tree=trees)
def test_a_folder_s_manifest_lists_what_was_written(tree: dict[tuple[str, ...], bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for parts, content in tree.items():
            file = Path(folder, *parts)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)

        manifest = hash_source(Path(folder))

    assert {entry.path: entry.sha256 for entry in manifest.files} == {
        "/".join(parts): hashlib.sha256(content).hexdigest() for parts, content in tree.items()
    }
    assert manifest == folder_of(manifest.files)


@settings(max_examples=60, deadline=None)
@given(one=confusable, other=confusable)
def test_two_listings_have_one_digest_only_if_they_are_equal(
    one: tuple[FileEntry, ...], other: tuple[FileEntry, ...]
) -> None:
    assert (compute_listing_digest(one) == compute_listing_digest(other)) == (one == other)


@settings(max_examples=30, deadline=None)
@given(listed=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), listings, max_size=3))
def test_any_lock_that_is_written_is_read_back(listed: dict[str, tuple[FileEntry, ...]]) -> None:
    manifests = {name: folder_of(files) for name, files in listed.items()}
    with tempfile.TemporaryDirectory() as folder:
        lock = Path(folder, "mlrun.lock")

        write_lock(lock, manifests)

        assert read_lock(lock) == manifests


@settings(max_examples=60, deadline=None)
@given(before=listings, after=listings)
def test_a_difference_is_described_exactly_when_there_is_one(
    before: tuple[FileEntry, ...], after: tuple[FileEntry, ...]
) -> None:
    described = list(describe_changes(folder_of(before), folder_of(after)))

    assert bool(described) == (before != after)
