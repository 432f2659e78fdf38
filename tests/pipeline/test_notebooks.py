"""The notebooks run from top to bottom, and are committed without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_they_are_numbered() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["00", "01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    # jupyter_client and zmq set up their own event loop and sockets.
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
)
@pytest.mark.parametrize(
    "small", [True, pytest.param(False, marks=pytest.mark.whole)], ids=["small", "whole"]
)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(
    path: Path,
    small: bool,
    encoder_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROUTER_NOTEBOOK_SMALL", "1" if small else "")
    monkeypatch.setenv("ROUTER_NOTEBOOK_OUTPUT", str(tmp_path))
    monkeypatch.setenv("ROUTER_ML_CACHE", str(encoder_cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
    said = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert any(out.output_type in ("display_data", "execute_result") for out in said)
    assert not [out for out in said if out.get("name") == "stderr" and "Warning" in out.text]
