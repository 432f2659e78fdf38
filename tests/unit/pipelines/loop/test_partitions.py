from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.config import JoinConfig
from pipelines.loop.partitions import Taken, take
from pipelines.stages.join import run as join
from tests.loop_world import write_log


def taken(known: Taken, root: Path) -> Taken:
    """One look, from what a store would give back."""
    before = Taken.of({key: row for key, row in known.entries if row} | _rows(known))
    return take(before, decisions=[str(root / "decisions")], folder=root / "log")


def _rows(known: Taken) -> dict[str, dict[str, object]]:
    every = Taken(known.every, touched=list(known.every))
    return dict(every.entries)


def test_what_is_new_is_read_once(tmp_path: Path) -> None:
    path = write_log(tmp_path / "decisions" / "decisions-a.jsonl", 0, 10)
    first = taken(Taken(), tmp_path)
    assert [(p.decisions, p.labels) for p in first.every.values()] == [(10, 10)]
    again = taken(first, tmp_path)
    assert (again.new, again.touched, again.digest) == ([], [], first.digest)
    write_log(path, 10, 5)
    with path.open("ab") as file:
        file.write(b'{"kind":"decision","decision_')  # a write under way
    second = taken(again, tmp_path)
    (key,) = second.new
    assert (second.every[key].decisions, second.every[key].line) == (5, 20)
    assert second.digest != first.digest


def test_renamed_compressed_and_copied_files_bring_nothing_new(tmp_path: Path) -> None:
    path = write_log(tmp_path / "decisions" / "decisions-a.jsonl", 0, 10)
    known = taken(Taken(), tmp_path)
    copy = path.with_name("decisions-b.jsonl")
    copy.write_bytes(path.read_bytes())
    known = taken(known, tmp_path)
    assert known.new == []
    assert "1 duplicates left out" in known.text
    path.with_name("decisions-a.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    known = taken(known, tmp_path)
    assert (known.new, known.dropped) == ([], [])
    assert len(known.files("decisions", tmp_path / "log")) == 2


def test_a_file_whose_text_was_erased_is_staged_again(tmp_path: Path) -> None:
    path = write_log(tmp_path / "decisions" / "decisions-a.jsonl", 0, 10)
    write_log(path, 10, 10)
    known = taken(Taken(), tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"query":"00003 ', b'"query":"x '))
    later = taken(known, tmp_path)
    assert len(later.new) == 1
    decisions, _ = later.files("decisions", tmp_path / "log")
    texts = pq.read_table(decisions, columns=["query"])["query"].to_pylist()
    assert texts[3].startswith("x ")


def test_a_partition_that_comes_late_is_said_to_be_late(tmp_path: Path) -> None:
    write_log(tmp_path / "decisions" / "decisions-a.jsonl", 100, 10, hours_ago=1.0)
    known = taken(Taken(), tmp_path)
    write_log(tmp_path / "decisions" / "decisions-late.jsonl", 0, 10, hours_ago=30.0)
    later = taken(known, tmp_path)
    assert "1 of them late" in later.text
    assert [later.every[key].late for key in later.new] == [True]


def test_staged_parts_join_to_what_the_log_itself_does(tmp_path: Path) -> None:
    path = write_log(tmp_path / "decisions" / "decisions-a.jsonl", 0, 30)
    known = taken(Taken(), tmp_path)
    write_log(path, 30, 20)
    other = write_log(tmp_path / "decisions" / "decisions-b.jsonl", 50, 20)
    again = b"".join(path.read_bytes().splitlines(keepends=True)[40:])  # decisions 20 to 49
    other.write_bytes(again + other.read_bytes())
    known = taken(known, tmp_path)
    prices = tmp_path / "prices.json"
    names = ("small", "medium", "large")
    price = '{"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}'
    prices.write_text("{" + ", ".join(f'"{name}": {price}' for name in names) + "}")

    def outcomes(decisions: tuple[str, ...], output: Path) -> list[dict[str, object]]:
        config = JoinConfig(
            decisions=decisions, prices=(str(prices),), output=output, tolerance=1.0
        )
        table = pq.read_table(join(config) / "outcomes.parquet")
        rows: list[dict[str, object]] = table.sort_by("request_id").to_pylist()
        return rows

    staged = outcomes(known.files("decisions", tmp_path / "log"), tmp_path / "staged")
    plain = outcomes((str(tmp_path / "decisions"),), tmp_path / "plain")
    assert staged == plain
    assert len(staged) == 70
