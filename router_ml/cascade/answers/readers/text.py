"""Words: what every answer looks like, whatever else it is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar, Final

from router_ml.cascade.answers.asked import Asked
from router_ml.cascade.answers.reader import AnswerReader
from router_ml.cascade.answers.reading import Reading, Statement
from router_ml.cascade.answers.words import Phrases, lower_words
from router_ml.types.answers import Answer

_KEY_WORDS: Final = 40
_ITEM_WORDS: Final = 200
_REFUSAL: Final = Phrases(
    r"\b(?:can(?:not|'t)|unable to|not able to|i'm sorry|i am sorry|apologi[sz]e|as an ai|"
    r"none of the|no (?:given |provided |available |suitable )?function|not (?:sufficient|suitable|"
    r"relevant|applicable|possible)|does not (?:match|provide|exist)|lacks?|cannot be)\b",
    stems=("not", "can't", "unable to", "sorry", "apologi", "as an ai", "none of", "no ", "lack"),
)
_HEDGE: Final = Phrases(
    r"\b(?:maybe|perhaps|might|probably|possibly|approximately|roughly|not (?:certain|sure)|"
    r"i think|seems?|assum\w+|unclear|however|likely|guess)\b",
    stems=(
        "maybe", "perhaps", "might", "probably", "possibly", "approximately", "roughly", "not ",
        "i think", "seem", "assum", "unclear", "however", "likely", "guess",
    ),
)  # fmt: skip
_ASKS: Final = Phrases(
    r"\b(?:please (?:provide|specify|clarify)|could you|can you|more information|which )\b",
    stems=("please ", " you", "more information", "which "),
)
_CODE: Final = Phrases(
    r"```|[{};]|\bdef \b|\breturn\b|=>|==|\(\)|::",
    stems=("```", "{", "}", ";", "def ", "return", "=>", "==", "()", "::"),
)
_SENTENCE: Final = re.compile(r"[.?!](?:\s|$)")
_QUOTED: Final = re.compile(r"[\"'‘“`][^\"'’”`\n]{1,60}[\"'’”`]")


class TextReader(AnswerReader):
    """Length, refusals, hedges, an open end, and what is repeated from the query.

    Where nothing else is read, the answer says its last words. Where there were tools to call, an
    answer in words says that none is called, in whatever words.
    """

    name: ClassVar[str] = "text"
    always: ClassVar[bool] = True
    columns: ClassVar[tuple[str, ...]] = (
        "log_answer_chars",
        "log_answer_words",
        "log_lines",
        "empty",
        "refuses",
        "hedges",
        "asks_back",
        "unbalanced",
        "ends_open",
        "finish_length",
        "ends_in_question",
        "log_code_marks",
        "distinct_word_share",
        "query_words_said",
        "words_from_query",
        "query_numbers_said",
        "numbers_from_query",
        "length_ratio",
        "repeated_lines",
        "query_joints",
        "query_sentences",
        "query_questions",
        "query_quotes",
        "query_commas",
        "query_numbers",
    )

    def read(self, asked: Asked, answer: Answer) -> Reading | None:
        """See :meth:`AnswerReader.read`."""
        text = answer.shown
        words = lower_words(text)
        values = [
            *_described(asked, text, words, answer.finish_reason),
            *asked.recall(_of_query),
        ]
        items = frozenset(words[:_ITEM_WORDS])
        if not text.strip():
            return Reading(values, Statement("empty", ""))
        if asked.query.tools:
            return Reading(values, Statement("no call", "", items))
        return Reading(values, Statement("text", " ".join(words[-_KEY_WORDS:]), items))


def _of_query(asked: Asked) -> Sequence[float]:
    text = asked.text
    return (
        float(asked.joints),
        float(len(_SENTENCE.findall(text))),
        float(text.count("?")),
        float(len(_QUOTED.findall(text))),
        float(text.count(",")),
        float(len(asked.vocabulary.numbers)),
    )


def _described(asked: Asked, text: str, words: list[str], finish_reason: str) -> list[float]:
    stripped, lower = text.rstrip(), text.lower()
    distinct = set(words)
    lines = [line for line in text.splitlines() if line.strip()]
    said_words, said_numbers = asked.vocabulary.words, asked.vocabulary.numbers
    numbers = {float(w[:15]) for w in distinct if w.isdigit() and w.isascii()}
    opened = sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")
    return [
        math.log1p(len(text)),
        math.log1p(len(words)),
        math.log1p(len(lines)),
        float(not stripped),
        float(_REFUSAL.count(lower)),
        float(_HEDGE.count(lower)),
        float(_ASKS.count(lower)),
        float(opened),
        float(bool(stripped) and stripped[-1].isalnum() and not stripped[-1].isdigit()),
        float(finish_reason in ("length", "max_tokens")),
        float(stripped.endswith("?")),
        math.log1p(_CODE.count(text)),
        len(distinct) / max(1, len(words)),
        len(distinct & said_words) / max(1, len(said_words)),
        len(distinct & said_words) / max(1, len(distinct)),
        len(numbers & said_numbers) / max(1, len(said_numbers)),
        len(numbers & said_numbers) / max(1, len(numbers)),
        math.log1p(len(text)) - math.log1p(len(asked.query.ask)),
        float(len(lines) - len(set(lines))),
    ]
