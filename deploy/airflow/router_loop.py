"""Airflow DAG: one cycle of the loop every quarter of an hour, where router-ml is installed.

A cycle that another loop holds (exit code 75) is skipped; one that is killed is retried and goes on
at the step where it was.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

HELD = 75

with DAG(
    dag_id="router_loop",
    schedule="*/15 * * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["router"],
):
    BashOperator(
        task_id="cycle",
        bash_command="router-ml loop --config /etc/router/loop.yaml --once",
        skip_on_exit_code=HELD,
        append_env=True,
        retries=2,
        retry_delay=timedelta(minutes=3),
        execution_timeout=timedelta(hours=3),
    )
