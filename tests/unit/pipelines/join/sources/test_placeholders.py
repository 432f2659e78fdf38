"""Text that an exporter took away or cut is no prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dirty_log import request
from tests.small_join import joined, rejected, said


@pytest.mark.parametrize(
    "text", ["redacted-by-litellm", "[REDACTED]", "<redacted>", "__REDACTED__", "***", "[Filtered]"]
)
def test_a_placeholder_is_no_prompt(tmp_path: Path, text: str) -> None:
    rows = [request(0, messages=said(text)), request(1, messages=text), request(2)]
    report, found = joined(tmp_path, rows)
    assert rejected(report) == {"redacted_text": 2}
    assert list(found) == ["req-00002"]


def test_a_question_about_redaction_is_a_prompt(tmp_path: Path) -> None:
    report, _ = joined(tmp_path, [request(0, messages=said("Why was this redacted?"))])
    assert rejected(report) == {}


@pytest.mark.parametrize(
    "text",
    [
        "Check this. ... (litellm_truncated skipped 41234 chars. Full, untruncated) ... thanks",
        "A long text [truncated]",
        '[{"role": "user", "content": "cut in the midd',
    ],
)
def test_text_that_was_cut_is_rejected(tmp_path: Path, text: str) -> None:
    hidden = {"messages": said(text)} if not text.startswith("[{") else {"messages": text}
    report, _ = joined(tmp_path, [request(0, **hidden), request(1)])
    assert rejected(report) == {"truncated_text": 1}


def test_a_cut_answer_in_the_history_does_no_harm(tmp_path: Path) -> None:
    history = [
        {"role": "assistant", "content": "litellm_truncated skipped 9 chars"},
        *said("And now?"),
    ]
    report, _ = joined(tmp_path, [request(0, messages=history)])
    assert rejected(report) == {}
