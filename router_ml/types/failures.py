"""Whose fault a failed request is: the candidate's, or that of whoever called it."""

from __future__ import annotations

from typing import Final, Literal

CLIENT_ERRORS: Final = (
    "authenticationerror",
    "permissiondeniederror",
    "budgetexceedederror",
    "contextwindowexceedederror",
    "badrequesterror",
    "invalidrequesterror",
    "unprocessableentityerror",
    "unsupportedparamserror",
    "notfounderror",
    "clientdisconnect",
    "clientdisconnected",
    "clientdisconnectederror",
    "cancellederror",
    "guardrailraisedexception",
    "blockedpiientityerror",
    "insufficientquotaerror",
    "400",
    "401",
    "402",
    "403",
    "404",
    "405",
    "413",
    "415",
    "422",
    "499",
)
"""Classes and HTTP statuses of failures that say nothing of the candidate: a wrong key, an
exhausted budget, a caller that hung up, a request that no such candidate can take."""

CANDIDATE_ERRORS: Final = frozenset(
    {
        "apiconnectionerror",
        "apierror",
        "apiresponsevalidationerror",
        "contentpolicyviolationerror",
        "internalservererror",
        "jsonschemavalidationerror",
        "midstreamfallbackerror",
        "ratelimiterror",
        "serviceunavailableerror",
        "timeout",
    }
)
KNOWN_ERRORS: Final = frozenset(CLIENT_ERRORS) | CANDIDATE_ERRORS

_WORDS: Final = {
    **dict.fromkeys(
        (
            "success",
            "ok",
            "true",
            "succeeded",
            "completed",
            "complete",
            "status_code_ok",
            "unset",
            "default",
            "debug",
            "warning",
        ),
        "success",
    ),
    **dict.fromkeys(
        ("failure", "failed", "false", "error", "errored", "status_code_error"), "failure"
    ),
}

Outcome = Literal["success", "failure", "client_error"]


def status_word(text: str) -> str:
    """``success`` or ``failure``; other words as they are, in lower case.

    Examples
    --------
    >>> status_word("Errored"), status_word("OK"), status_word("503"), status_word("?")
    ('failure', 'success', 'failure', '?')
    """
    word = text.strip().lower()
    if word.isdigit() and len(word) == 3:  # an HTTP status
        return "success" if word.startswith("2") else "failure"
    return _WORDS.get(word, word)


def outcome_of(status: str | None, error_class: str | None) -> Outcome | None:
    """What a report says of the candidate; ``None`` where it says neither how it went nor why.

    Examples
    --------
    >>> outcome_of("success", None), outcome_of("failure", "litellm.RateLimitError")
    ('success', 'failure')
    >>> outcome_of("failure", "400"), outcome_of(None, "AuthenticationError")
    ('client_error', 'client_error')
    >>> outcome_of(None, None) is None
    True
    """
    if error_class:
        name = bare(error_class)
        return "client_error" if name in CLIENT_ERRORS else "failure"
    word = None if status is None else status_word(status)
    return word if word in ("success", "failure") else None  # type: ignore[return-value]


def bare(error_class: str) -> str:
    """An error's class in lower case, without its module."""
    return error_class.rsplit(".", 1)[-1].strip().lower()
