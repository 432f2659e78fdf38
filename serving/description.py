"""The loaded router, for whoever asks ``GET /v1/router``."""

from __future__ import annotations

from router_ml.bundle.files import prices_to_dict
from serving.loading.loader import Router
from serving.schemas import CandidateInfo, RouterInfo


def describe(router: Router) -> RouterInfo:
    """Version, candidates with the prices in force, policy, calibration, training data."""
    manifest, table = router.runtime.manifest, router.runtime.candidates
    cascade = router.cascade.policy
    prices = prices_to_dict(table)
    return RouterInfo(
        name=router.name.name,
        version=router.name.version,
        bundle_id=manifest.bundle_id,
        format_version=manifest.format_version,
        created=manifest.created,
        loaded=router.loaded.isoformat(timespec="seconds"),
        source=router.source,
        policy=router.runtime.policy.to_dict(),
        cascade=None if cascade is None else cascade.to_dict(),
        override_digest=router.runtime.override_digest,
        candidates=[
            CandidateInfo(
                name=name,
                provider=table.provider[k],
                input_usd_per_mtok=prices[name]["input_usd_per_mtok"],
                output_usd_per_mtok=prices[name]["output_usd_per_mtok"],
                cached_input_usd_per_mtok=prices[name].get("cached_input_usd_per_mtok"),
                cache_write_usd_per_mtok=prices[name].get("cache_write_usd_per_mtok"),
                context_window=int(table.context_window[k]),
                max_output_tokens=int(table.max_output_tokens[k]),
                capabilities=sorted(table.capabilities[k]),
            )
            for k, name in enumerate(table.names)
        ],
        calibration=dict(manifest.calibration),
        training={k: v for k, v in manifest.training.items() if k != "budgets"},
    )
