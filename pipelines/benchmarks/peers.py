"""Who else decides: a stand-in for a decision model over HTTP, and semantic-router in a process.

``python -m pipelines.benchmarks.peers FOLDER``, in an environment that has ``semantic-router``,
reads a text a line, as JSON, and writes the milliseconds that its route took.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

_ROUTES: Final = {
    "code": ("Write a function that sorts a list.", "Fix this loop.", "Add a test for the class."),
    "maths": ("Prove that it ends.", "Solve the integral.", "What is the square root of two?"),
    "language": ("Translate the result into French.", "Correct my grammar.", "Say it politely."),
    "weather": ("What is the weather in Rome?", "Will it rain?", "How hot is it outside?"),
}


@contextmanager
def decision_model(*, service_ms: float) -> Iterator[str]:
    """A server that answers System One's questions after a fixed time; its address.

    It stands for a model that cannot be had here: what is measured of it is the protocol, as its
    client speaks it, and a time of service that is given.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            time.sleep(service_ms / 1e3)
            answers = {}
            for name, question in asked["questions"].items():
                labels = list(question["criteria"])
                share = 1 / len(labels)
                answers[name] = {
                    "type": "choice",
                    "choice": labels[0],
                    "confidence": share,
                    "probabilities": dict.fromkeys(labels, share),
                }
            usage = {"input_tokens": 1, "output_tokens": 1}
            answer = {"model": "stand-in", "answers": answers, "usage": usage}
            body = json.dumps(answer).encode()
            size = f"content-length: {len(body)}"
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{size}"
            self.wfile.write(head.encode() + b"\r\n\r\n" + body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def semantic_worker(
    python: str, sentence: Path
) -> Iterator[Callable[[list[dict[str, str]]], Awaitable[float]]]:
    """What decides a chat by semantic-router in another process; milliseconds that it took."""
    process = subprocess.Popen(
        [python, "-m", __name__, str(sentence)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("expected pipes to the worker")
    asks, answers = process.stdin, process.stdout

    async def decide(chat: list[dict[str, str]]) -> float:
        asks.write(json.dumps(chat[-1]["content"]) + "\n")
        asks.flush()
        return float(answers.readline())

    try:
        yield decide
    finally:
        asks.close()
        answers.close()
        process.wait(60)


def _work(folder: Path) -> None:
    from semantic_router import Route
    from semantic_router.encoders import DenseEncoder
    from semantic_router.routers import IndexedRouter

    from pipelines.encoders import load_encoder
    from router_ml.features.query import Query
    from router_ml.features.sentence_encoder import SentenceEncoder
    from router_ml.types.queries import Tokens

    encoder = load_encoder("sentence", folder)
    if not isinstance(encoder, SentenceEncoder):
        raise TypeError(f"expected a sentence encoder in {folder}")

    static = encoder.static.dims

    class MiniLM(DenseEncoder):  # type: ignore[misc]
        def __call__(self, docs: list[str]) -> list[list[float]]:
            rows = encoder.tokenizer.rows([Query(text) for text in docs])
            own = encoder.encode(Tokens.from_rows(rows))[:, static:]
            found: list[list[float]] = own.tolist()
            return found

    routes = [Route(name=name, utterances=list(texts)) for name, texts in _ROUTES.items()]
    router: Any = IndexedRouter(encoder=MiniLM(name="minilm"), routes=routes)
    for line in sys.stdin:
        begun = time.perf_counter()
        router(json.loads(line))
        sys.stdout.write(f"{1e3 * (time.perf_counter() - begun)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
