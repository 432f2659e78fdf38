"""Send schemathesis' cases to a real service: ``python -m tools.fuzz --examples 1000``.

About 2,000 cases cover the document's keywords one by one, and every operation gets ``--examples``
random ones. What is checked: no 5xx, statuses, media types, headers and bodies as documented, what
the document forbids is refused and what it allows is accepted. The decision protocols are exempt
from the last: what their questions may say is language, which a schema cannot hold.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from pipelines.benchmarks.http_load import service
from tests.bundles import make_bundle

CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
)
_IN_WORDS: Final = ("/v1/decisions", "/v1/systemone")
_PATIENT: Final = {
    "DEADLINE_MS": "60000",
    "SLOW_DEADLINE_MS": "60000",
    "BATCH_DEADLINE_MS": "60000",
}


def fuzz(*, examples: int, coverage: bool = True, seed: int = 0) -> list[str]:
    """What schemathesis found to be wrong; nothing, hopefully.

    Parameters
    ----------
    examples : random cases of each operation
    coverage : also go through the document's keywords
    """
    phases = "coverage,fuzzing" if coverage else "fuzzing"
    exempt = tuple(check for check in CHECKS if check != "positive_data_acceptance")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        make_bundle(Path(folder) / "bundle")
        with service(Path(folder) / "bundle", settings=_PATIENT) as (port, _):
            for checks, what in ((CHECKS, "--exclude-path"), (exempt, "--include-path")):
                command = [
                    str(Path(sys.executable).with_name("schemathesis")),
                    "run",
                    f"http://127.0.0.1:{port}/openapi.json",
                    f"--phases={phases}",
                    f"--max-examples={examples}",
                    f"--checks={','.join(checks)}",
                    f"--seed={seed}",
                    "--continue-on-failure",
                    "--suppress-health-check=all",
                    *(f"{what}={path}" for path in _IN_WORDS),
                ]
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, cwd=folder
                )
                sys.stdout.write(done.stdout[-20_000:])
                if done.returncode:
                    found.append(done.stdout + done.stderr)
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(bool(fuzz(examples=given.examples, seed=given.seed)))


if __name__ == "__main__":
    main()
