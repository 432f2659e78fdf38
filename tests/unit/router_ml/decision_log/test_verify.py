"""Nothing can be changed, removed or put in unseen, and text can go without a trace of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_ml.decision_log.erase import Selection, erase
from router_ml.decision_log.lines import START, Line, seal, text_part, text_sha256
from router_ml.decision_log.verify import log_files, verify

SECRET = 'my name is "Ada", } previous, é'


def chain(rows: Sequence[dict[str, object]], head: str = START) -> tuple[list[bytes], str]:
    """Lines as the service writes them; ``text`` of a row goes beside it."""
    lines = []
    for row in rows:
        said = {k: v for k, v in row.items() if k in ("query", "answer")}
        part = text_part(json.dumps(said, separators=(",", ":")).encode())
        core = {k: v for k, v in row.items() if k not in said}
        core |= {"previous": head, "text_sha256": text_sha256(part)}
        line, head = seal(json.dumps(core, separators=(",", ":")).encode(), part)
        lines.append(line)
    return lines, head


def decision(i: int, **more: object) -> dict[str, object]:
    return {
        "kind": "decision",
        "decision_id": f"d-{i}",
        "session_id": f"s-{i % 3}",
        "time": f"2026-01-{i + 1:02d}T00:00:00.000000",
        "query": f"{SECRET} {i}",
    } | more


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two files of one process, the first compressed, and one of another."""
    lines, head = chain([decision(i) for i in range(6)])
    with gzip.open(tmp_path / "decisions-a-00001.jsonl.gz", "wb") as file:
        file.writelines(lines)
    feedback: dict[str, object] = {
        "kind": "feedback",
        "decision_id": "d-1",
        "time": "2026-01-09T00:00:00",
    }
    lines, _ = chain([decision(6), feedback | {"answer": SECRET}, {"kind": "feedback"}], head)
    (tmp_path / "decisions-a-00002.jsonl").write_bytes(b"".join(lines))
    lines, _ = chain([decision(7, tags={"user": "ada"}), decision(8, tenant="acme")])
    (tmp_path / "decisions-b-00001.jsonl").write_bytes(b"".join(lines) + b'{"kind":"deci')
    return tmp_path


def test_a_whole_log(log: Path) -> None:
    found = verify(log_files([log]))
    assert found.findings == []
    assert (found.rows, found.with_text, found.erased, found.torn) == (11, 10, 0, 1)
    assert len(found.heads) == 2
    assert verify(log_files([log]), heads=found.heads).findings == []


@pytest.mark.parametrize(
    ("ids", "owners", "before", "n"),
    [
        (["d-1"], [], None, 2),  # its feedback, too
        (["s-0"], [], None, 3),
        (["ada"], [], None, 1),
        ([], ["acme"], None, 1),
        ([], [], datetime(2026, 1, 5), 5),  # d-0 to d-3, and the feedback of d-1
        ([], ["acme"], datetime(2026, 1, 5), 0),
        (["nobody"], [], None, 0),
        ([], [], None, 0),
    ],
)
def test_text_goes_and_the_chain_holds(
    log: Path, ids: list[str], owners: list[str], before: datetime | None, n: int
) -> None:
    files = log_files([log])
    plain = [path for path in files if path.suffix != ".gz"]
    whole, sizes = verify(files), [path.stat().st_size for path in plain]
    wanted = Selection(ids=frozenset(ids), owners=frozenset(owners), before=before)
    assert erase(files, wanted) == n
    after = verify(files, heads=whole.heads)
    assert (after.findings, after.erased, after.with_text) == ([], n, 10 - n)
    assert [path.stat().st_size for path in plain] == sizes
    assert erase(files, wanted) == 0
    text = b"".join(path.read_bytes() for path in plain) + gzip.decompress(files[0].read_bytes())
    assert text.count(b"Ada") == 10 - n


def test_whatever_is_done_to_a_line_shows(log: Path) -> None:
    path = log / "decisions-a-00002.jsonl"
    original = path.read_bytes()
    lines = original.splitlines(keepends=True)
    forged, _ = chain([decision(6, candidate="dear")], Line.read(lines[0]).previous)  # type: ignore[union-attr]
    for changed in (
        [lines[0].replace(b"s-0", b"s-1"), *lines[1:]],
        [lines[0].replace(b"Ada", b"Eve"), *lines[1:]],
        [lines[0], lines[2]],
        [lines[1], lines[0], lines[2]],
        lines[1:],
        [*forged, *lines[1:]],
        [lines[0], b'{"kind":"decision","digest":""}\n', *lines[1:]],
        [lines[0], *lines],
    ):
        path.write_bytes(b"".join(changed))
        assert verify(log_files([log])).findings, changed
    path.write_bytes(original)
    assert not verify(log_files([log])).findings


def test_an_end_that_was_cut_off_shows_by_its_head(log: Path) -> None:
    heads = verify(log_files([log])).heads
    path = log / "decisions-a-00002.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert not verify(log_files([log])).findings
    assert verify(log_files([log]), heads=heads).findings


def test_a_file_that_is_missing_shows_unless_it_was_archived(log: Path) -> None:
    (log / "decisions-a-00001.jsonl.gz").unlink()
    assert verify(log_files([log])).findings
    assert not verify(log_files([log]), starts_later=True).findings


def test_lines_of_an_earlier_release_are_counted(tmp_path: Path) -> None:
    (tmp_path / "decisions-a-00001.jsonl").write_text('{"kind":"decision","query":"x"}\n')
    found = verify(log_files([tmp_path]))
    assert (found.unchained, found.findings) == (1, [])


@settings(max_examples=200, deadline=None)
@given(
    row=st.dictionaries(st.sampled_from(["a", "tags", "digest", "core_bytes"]), st.text()),
    said=st.dictionaries(st.sampled_from(["query", "answer", "digest", "previous"]), st.text()),
)
def test_any_text_is_taken_apart_as_it_was_put_together(
    row: dict[str, str], said: dict[str, str]
) -> None:
    part = text_part(json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode())
    links = {"previous": START, "text_sha256": text_sha256(part)}
    core = json.dumps(row | links, separators=(",", ":"), ensure_ascii=False).encode()
    line, digest = seal(core, part)
    found = Line.read(line)
    assert found == Line(core, part, START, digest, text_sha256(part))
    assert found.problem == ""
    erased = Line.read(found.without_text(len(line)))
    assert erased == Line(core, b"", START, digest, text_sha256(part))
