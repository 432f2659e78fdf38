"""The process around the application."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

from serving.app import create_app
from serving.settings import Settings
from tests.bundles import make_bundle


def test_a_full_collection_walks_nothing_that_was_there_at_the_start(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    app = create_app(Settings(bundle=str(tmp_path / "bundle")))

    async def frozen_while_it_serves() -> int:
        async with app.router.lifespan_context(app):
            return gc.get_freeze_count()

    before = gc.get_freeze_count()
    try:
        assert asyncio.run(frozen_while_it_serves()) > before + 10_000
    finally:
        gc.unfreeze()
