"""The notebook runs from top to bottom, and is committed without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

REPOSITORY = Path(__file__).parents[2]
NOTEBOOK = REPOSITORY / "notebooks" / "01_train_and_promote.ipynb"


def test_no_outputs_are_committed() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    # jupyter_client and zmq set up their own event loop and sockets.
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
)
def test_it_runs_and_the_gate_answers(
    small_world: Path, encoder_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_NOTEBOOK_LOG", str(small_world))
    monkeypatch.setenv("ROUTER_NOTEBOOK_OUTPUT", str(tmp_path))
    monkeypatch.setenv("ROUTER_NOTEBOOK_CACHE", str(encoder_cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(REPOSITORY)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    said = str(notebook.cells[-2].outputs)
    assert "Version 1 against constant" in said
    assert "Gate (save)" in said
