"""Words of the synthetic world: prompts whose topic and difficulty can be read from the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from router_ml.types.arrays import IntArray

CLAUSES: Final = 4
"""Clauses a prompt has; the share of hard ones is what the text tells about its difficulty."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What people ask about: a name, its nouns, and the tools an application offers with it."""

    name: str
    nouns: tuple[str, ...]
    tools: tuple[tuple[str, str], ...]


def _topic(name: str, nouns: str, *tools: tuple[str, str]) -> Topic:
    return Topic(name, tuple(nouns.split()), tools)


TOPICS: Final = (
    _topic(
        "coding",
        "function loop compiler class pointer recursion iterator thread debugger unittest refactor "
        "module exception closure decorator parser linker stacktrace repository commit",
        ("run_tests", "Run the unit tests of a module and return the failures."),
        ("read_file", "Read a source file of the repository by its path."),
    ),
    _topic(
        "mathematics",
        "integral matrix theorem polynomial derivative eigenvalue probability triangle equation "
        "prime limit vector geometry algebra fraction logarithm series proof modulus permutation",
        ("solve_equation", "Solve an algebraic equation for one unknown."),
        ("plot_function", "Plot a function of one variable over an interval."),
    ),
    _topic(
        "finance",
        "invoice portfolio dividend mortgage interest budget tax equity ledger bond inflation "
        "revenue audit payroll hedge liquidity valuation deposit currency loan",
        ("get_exchange_rate", "Exchange rate between two currencies on a date."),
        ("get_stock_price", "Closing price of a share on a date."),
    ),
    _topic(
        "travel",
        "flight hotel passport itinerary train museum beach luggage visa airport hostel ferry "
        "mountain guide booking island festival rental border timetable",
        ("search_flights", "Search flights between two airports on a date."),
        ("book_hotel", "Book a hotel room in a city for a number of nights."),
    ),
    _topic(
        "medicine",
        "symptom fever dosage vaccine allergy diagnosis surgery antibiotic insulin headache "
        "pregnancy infection tumour blood therapy nurse clinic virus asthma rehabilitation",
        ("check_interaction", "Check whether two medicines interact."),
        ("find_clinic", "Find the nearest clinic with a given speciality."),
    ),
    _topic(
        "cooking",
        "recipe oven garlic pasta butter soup dough spice onion chicken dessert yeast sauce "
        "chocolate marinade salad grill vinegar pancake noodle",
        ("find_recipe", "Find a recipe that uses the given ingredients."),
        ("convert_units", "Convert a quantity between kitchen units."),
    ),
    _topic(
        "law",
        "contract clause liability tenant lawsuit copyright patent witness statute appeal "
        "custody verdict licence fraud testimony divorce injunction landlord notary jurisdiction",
        ("search_cases", "Search court decisions by keyword and year."),
        ("summarise_contract", "Summarise the obligations in a contract."),
    ),
    _topic(
        "databases",
        "query table index schema join transaction replica partition row column cursor shard "
        "migration backup aggregate trigger view deadlock snapshot warehouse",
        ("run_query", "Run a read-only SQL query and return its rows."),
        ("describe_table", "Columns and types of a table."),
    ),
)

OPENERS: Final = (
    "What should I know about {a}?",
    "Please help me with {a} and {b}.",
    "I have a question about {a}.",
    "Could you explain how {a} relates to {b}?",
    "My team is working on {a}.",
    "We need advice on {a} for ticket {n}.",
    "Write something about {a} and {b}.",
    "Compare {a} with {b}, version {n}.",
)
EASY: Final = (
    "Keep it short and simple.",
    "One sentence about {a} is enough.",
    "Just give a quick example with {a}.",
    "A beginner should understand it.",
    "List two common facts about {a}.",
    "A friendly tone is fine.",
    "Basic hints on {a} will do.",
    "No details needed.",
)
HARD: Final = (
    "Prove rigorously that every assumption about {a} is necessary.",
    "Derive the worst case for {a} under adversarial constraints, step by step.",
    "Reconcile the contradictory requirements of {a} and {b} without losing generality.",
    "Analyse all edge cases where {a} interacts asynchronously with {b}.",
    "Justify quantitatively why the optimal trade-off for {a} is unique.",
    "Identify the subtle flaw hidden in the standard argument on {a}.",
    "Generalise the result on {a} to heterogeneous, partially observed {b}.",
    "Optimise {a} jointly over twelve interdependent {b} parameters.",
)


def compose(topic: IntArray, hard_clauses: IntArray, rng: np.random.Generator) -> tuple[str, ...]:
    """Write one prompt per row.

    Parameters
    ----------
    topic : int array, shape (n_samples,), index into :data:`TOPICS`
    hard_clauses : int array, shape (n_samples,), from 0 to :data:`CLAUSES`

    Returns
    -------
    n_samples prompts, not necessarily distinct

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> compose(np.array([3]), np.array([0]), rng)[0].split(".")[0]
    'Write something about itinerary and festival'
    """
    n = len(topic)
    opener = rng.integers(len(OPENERS), size=n)
    clause = rng.integers(len(EASY), size=(n, CLAUSES))
    order = rng.permuted(np.tile(np.arange(CLAUSES), (n, 1)), axis=1)
    noun = rng.integers(len(TOPICS[0].nouns), size=(n, CLAUSES + 1, 2))
    number = rng.integers(100, 10_000, size=n)
    return tuple(
        _prompt(
            TOPICS[topic[i]].nouns,
            OPENERS[opener[i]],
            [
                (HARD if order[i, j] < hard_clauses[i] else EASY)[clause[i, j]]
                for j in range(CLAUSES)
            ],
            noun[i].tolist(),
            int(number[i]),
        )
        for i in range(n)
    )


def _prompt(
    nouns: Sequence[str], opener: str, clauses: Sequence[str], pick: list[list[int]], number: int
) -> str:
    return " ".join(
        part.format(a=nouns[a], b=nouns[b], n=number)
        for part, (a, b) in zip((opener, *clauses), pick, strict=True)
    )
