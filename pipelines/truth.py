"""A folder's matrix and prices: full information with what its candidates cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.join.sources.prices import price_rows
from router_ml.data.full_information import FullInformation, read_matrix
from router_ml.errors import ConfigError
from router_ml.types.candidates import CandidateTable

MATRIX = "matrix.parquet"
PRICES = "prices.json"


def read_truth(folder: Path, *, domain: str | None = None) -> FullInformation:
    """Read ``matrix.parquet`` and ``prices.json``.

    Parameters
    ----------
    domain : column of the matrix to keep for analysis

    Raises
    ------
    ConfigError
        If a file, or a price, is missing.
    """
    matrix, prices = folder / MATRIX, folder / PRICES
    if lacking := [path.name for path in (matrix, prices) if not path.is_file()]:
        raise ConfigError(f"{folder} lacks {', '.join(lacking)}; both are needed")
    truth = read_matrix(matrix, domain=domain)
    rows = {row["candidate"]: row for row in price_rows(prices) if not row.get("exclusion")}
    names = truth.candidates.names
    if unpriced := [name for name in names if name not in rows]:
        raise ConfigError(f"{prices} has no price of {', '.join(unpriced)}")
    per_mtok = {n: (rows[n]["input_usd_per_mtok"], rows[n]["output_usd_per_mtok"]) for n in names}
    providers = tuple(rows[name].get("provider") or "" for name in names)
    return truth.priced(replace(CandidateTable.from_prices(per_mtok), provider=providers))
