"""Bytes over a socket, for what no HTTP client would send."""

from __future__ import annotations

import json
import socket
from typing import Any


def connect(port: int, timeout: float = 20) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout)


def post(body: bytes, path: str = "/v1/route", **headers: str) -> bytes:
    given = {"Host": "localhost", "Content-Type": "application/json"}
    given |= {"Content-Length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def answer(sock: socket.socket) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of one response."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65_536)
        if not piece:
            raise ConnectionError(f"closed after {data!r}")
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65_536)
    return int(status.split()[1]), headers, json.loads(body) if body else None


def is_problem(response: tuple[int, dict[str, str], Any], status: int) -> bool:
    got, headers, body = response
    return got == status == body["status"] and headers["content-type"] == "application/problem+json"
