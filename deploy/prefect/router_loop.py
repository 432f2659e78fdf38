"""Prefect flow: one cycle of the loop; ``python router_loop.py`` serves it every quarter hour."""

from __future__ import annotations

import subprocess

from prefect import flow, get_run_logger, task
from prefect.states import Cancelled, State

HELD = 75


@task(retries=2, retry_delay_seconds=180)
def cycle(config: str) -> int:
    """Exit code of one cycle; a failed one is retried, and goes on at the step where it was."""
    command = ["router-ml", "loop", "--config", config, "--once"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    get_run_logger().info(done.stdout)
    if done.returncode not in (0, HELD):
        raise RuntimeError(f"exit code {done.returncode}: {done.stdout[-2000:]}")
    return done.returncode


@flow(name="router-loop")
def router_loop(config: str = "/etc/router/loop.yaml") -> State | None:
    """One cycle; cancelled where another loop holds the lease."""
    if cycle(config) == HELD:
        return Cancelled(message="another loop holds the lease")
    return None


if __name__ == "__main__":
    router_loop.serve(name="router-loop", cron="*/15 * * * *", limit=1)
