"""Job configuration: one frozen dataclass a stage; all of them can be imported from here."""

from __future__ import annotations

from pipelines.config.commands import DemoConfig, GatewayConfig, RouteConfig, ServeConfig
from pipelines.config.decision_log import (
    EraseConfig,
    ExperimentConfig,
    ExplainConfig,
    VerifyLogConfig,
)
from pipelines.config.evaluate import CertifyConfig, DiffConfig, EvaluateConfig, ReportConfig
from pipelines.config.join import EXCLUSIONS, InspectConfig, JoinConfig, LabelFile
from pipelines.config.label import LabelConfig
from pipelines.config.monitor import MonitorConfig
from pipelines.config.onboard import OnboardConfig
from pipelines.config.registry import PromoteConfig, RegisterConfig, RollbackConfig
from pipelines.config.search import SearchConfig
from pipelines.config.semantic_routes import FitRoutesConfig
from pipelines.config.train import ExportConfig, TrainConfig
from pipelines.options import dump_config, load_config, resolved

__all__ = [
    "EXCLUSIONS",
    "CertifyConfig",
    "DemoConfig",
    "DiffConfig",
    "EraseConfig",
    "EvaluateConfig",
    "ExperimentConfig",
    "ExplainConfig",
    "ExportConfig",
    "FitRoutesConfig",
    "GatewayConfig",
    "InspectConfig",
    "JoinConfig",
    "LabelConfig",
    "LabelFile",
    "MonitorConfig",
    "OnboardConfig",
    "PromoteConfig",
    "RegisterConfig",
    "ReportConfig",
    "RollbackConfig",
    "RouteConfig",
    "SearchConfig",
    "ServeConfig",
    "TrainConfig",
    "VerifyLogConfig",
    "dump_config",
    "load_config",
    "resolved",
]
