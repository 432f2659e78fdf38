"""A process that tries a bundle for the service: ``python -m serving.loading.trial FOLDER``.

A graph may never end, or take all memory there is; neither can be stopped inside the service. So a
new bundle is verified, loaded and made to score here first, within a time and a memory limit.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from router_ml import errors
from router_ml.bundle.files import Bundle, read_bundle
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.errors import BundleError, ConfigError, RouterError
from router_ml.runtime.probing import PROBE_QUERIES, check_runtime
from router_ml.runtime.runtime import Runtime

_LOG: Final = logging.getLogger(__name__)
_MB: Final = 1_000_000
_PAGE: Final = resource.getpagesize()


def load(
    bundle: Bundle, *, policy: Path | None, prices: Path | None, random_state: int | None = None
) -> tuple[Runtime, CascadeRuntime]:
    """Build a router and have it score the probes.

    Raises
    ------
    RouterError
        If it cannot be built, or does not score as it should.
    """
    runtime = Runtime(
        bundle=bundle,
        policy=_read_json(policy),
        prices=_read_json(prices),
        random_state=random_state,
    )
    check_runtime(runtime, bundle)
    cascade = CascadeRuntime(bundle=bundle, runtime=runtime)
    for query in PROBE_QUERIES[:2]:
        runtime.decide(query)
        cascade.next(query, [Attempt(runtime.candidates.names[0], "4")])
    return runtime, cascade


def try_bundle(
    folder: Path, *, policy: Path | None, prices: Path | None, timeout_s: float, memory_mb: int
) -> str:
    """Load a bundle in a child process; its id when that went well.

    Raises
    ------
    RouterError
        As :func:`load` does, or BundleError when a limit was reached or the child crashed.
    """
    command = [sys.executable, "-m", "serving.loading.trial", str(folder)]
    command += ["--memory-mb", str(memory_mb)]
    for name, path in (("--policy", policy), ("--prices", prices)):
        command += [name, str(path)] if path is not None else []
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(
            f"the bundle in {folder} did not load and score within {timeout_s:g} s; its graph may "
            "never end: export it again, or raise ROUTER_SERVE_LOAD_TIMEOUT_S"
        ) from error
    try:
        report = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise BundleError(
            f"the process that tried the bundle in {folder} ended with code {done.returncode}; "
            f"it may need more than {memory_mb} MB: export it again, or raise "
            "ROUTER_SERVE_LOAD_MEMORY_MB"
        ) from error
    if "error" in report:
        kind = getattr(errors, report["kind"], BundleError)
        raise kind(report["error"])
    return str(report["bundle_id"])


def main() -> None:
    """Load, score, and print one line of JSON."""
    parser = argparse.ArgumentParser(description="Try a bundle before it is put in service.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--prices", type=Path)
    parser.add_argument("--memory-mb", type=int, required=True)
    given = parser.parse_args()
    _limit_memory(given.memory_mb * _MB)
    report: dict[str, str]
    try:
        bundle = read_bundle(given.folder)
        load(bundle, policy=given.policy, prices=given.prices)
        report = {"bundle_id": bundle.manifest.bundle_id}
    except RouterError as error:
        report = {"error": str(error), "kind": type(error).__name__}
    except MemoryError:
        report = {
            "error": f"the bundle needs more than {given.memory_mb} MB to load and score",
            "kind": BundleError.__name__,
        }
    except Exception as error:
        # What a wrong bundle makes a library raise; the service goes on with the one it has.
        report = {
            "error": f"the bundle cannot be loaded: {type(error).__name__}: {error}",
            "kind": BundleError.__name__,
        }
    sys.stdout.write(json.dumps(report) + "\n")


def _limit_memory(n_bytes: int) -> None:
    """Address space, beyond what the interpreter and its libraries have by now."""
    import onnxruntime  # noqa: F401 - its own address space is not the bundle's
    import tokenizers  # noqa: F401

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * _PAGE + n_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _read_json(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected a JSON file at {path}: {error}") from error


if __name__ == "__main__":
    main()
