"""Personal data, as Presidio finds it; ``pip install presidio-analyzer`` in an environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

PATTERNS: Final = (
    "CREDIT_CARD",
    "CRYPTO",
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "IP_ADDRESS",
    "MEDICAL_LICENSE",
    "PHONE_NUMBER",
    "US_SSN",
)
"""What Presidio finds by patterns and checksums, without a language model."""


class PresidioGuard:
    """The kinds of personal data in a request, such as ``EMAIL_ADDRESS``.

    Parameters
    ----------
    entities : kinds that count. Names of people and places need ``spacy_model``.
    min_score : confidence from which on one counts, in [0, 1]
    language : of the texts
    spacy_model : an installed spaCy pipeline, such as ``en_core_web_lg``; ``None`` = a blank one,
        which finds what patterns find

    Examples
    --------
    >>> guard = PresidioGuard()  # doctest: +SKIP
    >>> guard(["Write to ada@example.org"])  # doctest: +SKIP
    {'EMAIL_ADDRESS'}
    """

    def __init__(
        self,
        *,
        entities: Sequence[str] = PATTERNS,
        min_score: float = 0.35,
        language: str = "en",
        spacy_model: str | None = None,
    ) -> None:
        import tldextract
        from presidio_analyzer import AnalyzerEngine

        # The list of public suffixes that it ships, instead of one that it would fetch.
        tldextract.tldextract.TLD_EXTRACTOR.suffix_list_urls = ()

        self.entities = list(entities)
        self.min_score = min_score
        self.language = language
        self._analyzer = AnalyzerEngine(
            nlp_engine=_nlp_engine(language, spacy_model), supported_languages=[language]
        )

    def __call__(self, texts: Sequence[str]) -> set[str]:
        """Kinds that were found in any of the texts."""
        return {
            found.entity_type
            for text in texts
            for found in self._analyzer.analyze(
                text,
                language=self.language,
                entities=self.entities,
                score_threshold=self.min_score,
            )
        }


def _nlp_engine(language: str, model: str | None) -> Any:
    """Presidio's engine around a pipeline; its own way to one would download a model."""
    import spacy
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model or "blank"}])
    engine.nlp = {language: spacy.blank(language) if model is None else spacy.load(model)}
    return engine
