"""LiteLLM: this router decides in it, and its spend log is the next training log.

======================= ======================================================================
module                  what
======================= ======================================================================
:mod:`.deciders`        whom to ask: a service over HTTP, a bundle in process, or at random
:mod:`.callbacks`       ``RouterHook``, a callback; ``RouterClassifier``, a classifier plugin
:mod:`.records`         the decision in a call's metadata, and what became of it
:mod:`.log`             the StandardLoggingPayload of every call as JSONL
:mod:`.auth`            keys from a file, for a proxy without LiteLLM's database
:mod:`.catalogue`       candidates of a gateway: provider, price, capabilities, region
:mod:`.proxy_config`    a catalogue to LiteLLM's configuration
:mod:`.cascade`         ask, judge, escalate inside one request
:mod:`.gateway`         what ``router-ml gateway`` runs LiteLLM with
======================= ======================================================================

Only ``callbacks``, ``cascade`` and ``gateway`` import LiteLLM; the rest can be read and tested
without it. Install with ``pip install -c constraints-litellm.txt 'router-ml[litellm]'`` in an
environment of its own. Names are those of LiteLLM 1.108.7.
"""
