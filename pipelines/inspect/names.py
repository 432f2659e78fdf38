"""Words in the names of columns, English and of its neighbours, and the roles they speak for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SPLIT: Final = re.compile(r"[^\w$]+|_+|(?<=[a-z])(?=[A-Z])|(?<=[a-zA-Z])(?=\d)")

ROLES: Final[Mapping[str, frozenset[str]]] = {
    "id": frozenset({"id", "uuid", "guid", "key", "ref", "nummer", "nr", "kennung", "vorgang",
                     "vorgangsnummer", "identifiant", "numero", "numéro", "identificador"}),
    "request": frozenset({"request", "completion", "trace", "call", "message", "chat", "req"}),
    "time": frozenset({"ts", "time", "timestamp", "date", "datetime", "created", "when", "at",
                       "start", "started", "begin", "zeit", "zeitpunkt", "zeitstempel", "datum",
                       "uhrzeit", "horodatage", "heure", "fecha", "hora"}),
    "query": frozenset({"prompt", "query", "question", "input", "instruction", "user", "ask",
                        "text", "messages", "message", "request", "frage", "kundenfrage", "anfrage",
                        "eingabetext", "requête", "pregunta", "consulta", "texto", "texte"}),
    "answer": frozenset({"answer", "response", "output", "completion", "reply", "result",
                         "outputs", "generations", "antwort", "réponse", "reponse", "respuesta"}),
    "candidate": frozenset({"model", "engine", "deployment", "llm", "candidate", "endpoint",
                            "modell", "sprachmodell", "modèle", "modele", "modelo"}),
    "input": frozenset({"in", "input", "prompt", "request", "ingress", "eingabe", "entrée",
                        "entree", "entrada"}),
    "output": frozenset({"out", "output", "completion", "response", "generated", "egress",
                         "ausgabe", "sortie", "salida"}),
    "cached": frozenset({"cached", "cache"}),
    "tokens": frozenset({"token", "tokens", "tok", "toks", "usage", "jetons"}),
    "cost": frozenset({"cost", "usd", "price", "spend", "dollars", "dollar", "$", "charge", "cents",
                       "amount", "kosten", "preis", "coût", "cout", "prix", "coste", "costo",
                       "precio"}),
    "latency": frozenset({"latency", "duration", "elapsed", "seconds", "secs", "sec", "ms",
                          "millis", "milliseconds", "took",
                          "dauer", "laufzeit", "durée", "duree", "duración", "duracion"}),
    "value": frozenset({"value", "score", "vote", "rating", "thumb", "thumbs", "label", "correct",
                        "grade", "feedback", "stars", "quality", "verdict", "passed", "success",
                        "reward", "like", "liked", "good", "bewertung", "note", "urteil",
                        "évaluation", "evaluación", "calificación"}),
    "name": frozenset({"name", "metric", "type", "kind"}),
    "source": frozenset({"source", "annotator", "rater", "by"}),
    "status": frozenset({"status", "state", "outcome", "zustand", "statut", "estado"}),
    "session": frozenset({"session", "conversation", "thread"}),
    "user": frozenset({"user", "customer", "account"}),
    "tools": frozenset({"tools", "functions"}),
}  # fmt: skip


def words(column: str) -> set[str]:
    """Words of a column's name, in lower case.

    Examples
    --------
    >>> sorted(words("usage_in")), sorted(words("completionId"))
    (['in', 'usage'], ['completion', 'id'])
    """
    return {word.lower() for word in _SPLIT.split(column) if word}


def leaf(column: str) -> str:
    """The last name of a path; a position in a list is no name.

    Examples
    --------
    >>> leaf("choices.0.message.content"), leaf("response.usage.prompt_tokens")
    ('content', 'prompt_tokens')
    """
    named = [part for part in column.split(".") if not part.isdigit()]
    return named[-1] if named and " " not in column else column


def speaks_for(column: str, *roles: str) -> int:
    """How many of the roles a name has a word of; of a path, its last name."""
    found = words(leaf(column))
    return sum(1 for role in roles if found & ROLES[role])
