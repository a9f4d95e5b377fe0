"""Whatever happens to the bytes of a bundle, it is the exact run or a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.bundle import Bundle, open_bundle
from pytest_mlrun.store.bundle_form import pack, unpack
from pytest_mlrun.store.bundle_write import pack_run, write_bundle
from pytest_mlrun.store.store import Store

RUN = "01900000-0000-7000-8000-0000000000ab"
CHILD = "01900000-0000-7000-8000-0000000000cd"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a member of every kind."""
    folder = tmp_path_factory.mktemp("bundle")
    store = Store.open(folder / "store", create=True)
    writer = store.writer(session_id="s")
    writer.start(RunStart(RUN, "s", "churn", "run", "t.py::test", params={"depth": "3"}))
    for step in range(20):
        writer.append(writer.channel(RUN, "loss"), step / 7, step)
    staged = store.objects.stage_bytes(b"labels" * 20)
    writer.artifact(RUN, Artifact("labels/val.arrow", staged.digest, staged.size_bytes, role="labels"))
    store.objects.publish(staged)
    writer.finish(RUN, RunEnd("finished", "passed"))
    writer.close()
    writer = store.writer(session_id="s")
    writer.start(RunStart(CHILD, "s", "churn", "seed", "t.py::test", parent_id=RUN, params={"replicate": "0"}))
    writer.append(writer.channel(CHILD, "loss"), 0.5, 1)
    writer.finish(CHILD, RunEnd("finished", "passed"))
    writer.close()
    store.annotate(RUN, tags={"stage": "x"}, note="n", who="ada")
    write_bundle(folder / "run.mlrun", pack_run(store.path, RUN, companions=[CHILD]))
    return folder / "run.mlrun"


def tell(bundle: Bundle) -> tuple[object, ...]:
    return (
        repr(bundle.run),
        repr(bundle.companions),
        bundle.series("loss").values.tolist(),
        [bundle.read_artifact(name) for name in bundle.artifacts],
        bundle.annotations,
    )


def open_changed(original: Path, content: bytes) -> tuple[object, ...] | None:
    changed = original.with_name("changed.mlrun")
    changed.write_bytes(content)
    try:
        return tell(open_bundle(changed))
    except StoreError:
        return None


def test_a_flip_of_any_byte_is_refused_or_changes_nothing(original: Path) -> None:
    content = original.read_bytes()
    exact = tell(open_bundle(original))
    harmless = 0

    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        found = open_changed(original, bytes(flipped))
        assert found is None or found == exact
        harmless += found is not None

    # Only bits that pad the end of a deflated stream mean nothing: at most one byte a member.
    assert harmless <= len(unpack(content))


@pytest.mark.slow
def test_a_cut_anywhere_is_noticed(original: Path) -> None:
    content = original.read_bytes()

    assert [end for end in range(len(content)) if open_changed(original, content[:end]) is not None] == []


@settings(max_examples=150)
@given(data=st.data())
def test_any_damage_is_refused_or_changes_nothing(original: Path, data: st.DataObject) -> None:
    content = original.read_bytes()
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(begin + 40, len(content))))
    changed = content[:begin] + data.draw(st.binary(max_size=40)) + content[end:]

    found, exact = open_changed(original, changed), tell(open_bundle(original))

    assert found == exact or (found is None and changed != content)


@settings(max_examples=150)
@given(data=st.data())
def test_a_member_that_was_changed_and_packed_anew_is_noticed(original: Path, data: st.DataObject) -> None:
    members = unpack(original.read_bytes())
    name = data.draw(st.sampled_from(sorted(members)))
    content = members[name]
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(begin + 9, len(content))))
    members[name] = content[:begin] + data.draw(st.binary(max_size=9)) + content[end:]

    found = open_changed(original, pack(members))

    assert found == (tell(open_bundle(original)) if members[name] == content else None)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,16}(/[0-9a-f-]{1,64})?(\.json)?", fullmatch=True),
        st.binary(max_size=99) | st.integers(0, 9999).map(bytes),
        min_size=1,
    )
)
def test_members_come_back_as_they_were_packed(members: dict[str, bytes]) -> None:
    assert list(unpack(pack(members)).items()) == list(members.items())
