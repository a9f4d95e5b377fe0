"""Whatever bytes are stored, in whatever order: they come back, once each."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.errors import StoreDamagedError
from pytest_mlrun.store.objects import Objects


@settings(max_examples=20, deadline=None)
@given(contents=st.lists(st.binary(max_size=64), max_size=6))
def test_every_content_comes_back_and_is_kept_once(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        objects = Objects(Path(folder))

        digests = [objects.put_bytes(content)[0] for content in contents]

        assert [objects.read(digest) for digest in digests] == contents
        assert list(objects) == sorted(set(digests))


@settings(max_examples=100, deadline=None)
@given(digest=st.text(max_size=80) | st.from_regex(r"sha256:[0-9a-f]{64}|sha256:[0-9a-fA-F./]{60,70}", fullmatch=True))
def test_no_text_leads_out_of_the_folder(digest: str) -> None:
    objects = Objects(Path("/store"))
    is_digest = re.fullmatch(r"sha256:[0-9a-f]{64}", digest, re.ASCII) is not None

    if is_digest:
        assert objects.path(digest).resolve().parent.parent == Path("/store/objects")
    else:
        with pytest.raises(StoreDamagedError):
            objects.path(digest)
