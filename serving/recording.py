"""Where decisions are written, and the experiment that they may be part of."""

from __future__ import annotations

from router_ml.errors import RouterError
from router_ml.types.decisions import Decision
from serving.experiment import Experiment, Made, Recording
from serving.loading.loader import Router
from serving.loading.routers import loader_of
from serving.log.recorder import CHALLENGER, Recorder
from serving.settings import Settings
from serving.telemetry import Telemetry


class DecisionRecording:
    """Writes decisions, those of an experiment once both arms have scored.

    Parameters
    ----------
    settings : name the challenger, if there is one
    recorder : writes rows
    telemetry : counts

    Attributes
    ----------
    experiment : ``None`` = there is no challenger
    """

    def __init__(self, *, settings: Settings, recorder: Recorder, telemetry: Telemetry) -> None:
        self.recorder = recorder
        self._counts = telemetry.experiment
        self.experiment: Experiment | None = None
        if settings.challenger:
            prices = settings.prices_file
            self.experiment = Experiment(
                name=settings.experiment,
                share=settings.challenger_share,
                loader=loader_of(settings, settings.challenger, CHALLENGER, prices=prices),
                recording=Recording(recorder.decision, self._shadow, self._dropped),
            )

    def take(self, made: Made) -> None:
        """Take an answered decision."""
        trial = made.ask.trial
        if trial is None or self.experiment is None:
            self.recorder.decision(made)
            return
        self._counts[CHALLENGER if trial.is_challenger else "champion"] += 1
        if not trial.share:
            self.recorder.decision(made)
        self.experiment.take(made)

    def _shadow(self, made: Made, other: Router, result: Decision | RouterError) -> None:
        self.recorder.shadow(made, other, result)
        if not isinstance(result, Decision):
            self._counts["shadow_failed"] += 1
        else:
            agreed = result.candidate == made.decision.candidate
            self._counts["shadow_agreed" if agreed else "shadow_differed"] += 1

    def _dropped(self) -> None:
        self._counts["shadow_dropped"] += 1
