"""Read which objects a kept snapshot is made of."""

from __future__ import annotations

import json

from pytest_mlrun.store.objects import digest_of_name

SNAPSHOT = "snapshot"
"""Role of a listing each of whose files is an object."""


def read_kept_files(listing: bytes) -> tuple[str, ...]:
    """Return the digests of the files that a listing names.

    Args:
        listing: The bytes of an artifact of the role ``snapshot``.

    Raises:
        ValueError: It is no listing.
    """
    try:
        digests = [digest_of_name(str(sha256)) for _, _, sha256 in json.loads(listing)["files"]]
    except (KeyError, TypeError) as error:
        raise ValueError("it names no files") from error
    found = tuple(digest for digest in digests if digest is not None)
    if len(found) != len(digests):
        raise ValueError("a file has no digest")
    return found
