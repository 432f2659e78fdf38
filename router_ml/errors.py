"""Every error that the platform raises on purpose.

::

    RouterError
    ├─ ConfigError(ValueError)      a parameter file or variable is wrong
    ├─ DataError(ValueError)
    │  ├─ SchemaError               column, dtype or range not as declared
    │  ├─ JoinError                 duplicate or unmatched keys above tolerance
    │  └─ OverlapError              the log cannot support this policy (propensity near 0)
    ├─ ExportError
    │  └─ ParityError               ONNX and Python disagree
    ├─ RegistryError                the model registry can't be reached, or has no such version
    │  └─ ChampionMovedError        the alias is not on the version that was judged against
    ├─ LeaseError                   another loop holds the lease, or took it over
    ├─ GateError                    the gate said no, with its numbers
    ├─ BundleError
    │  ├─ BundleVersionError        a format that this release does not read
    │  └─ BundleIntegrityError      a missing file or a changed byte
    └─ ScoringError
       ├─ InvalidRequestError       the caller can fix it
       │  ├─ OverBudgetError        nobody is left whom its budget can pay
       │  └─ NoCandidateError       its limits leave nobody, as predictions and prices are
       └─ ScorerUnavailableError    the service can't score now

A message says what was expected, what came, where, and what to do. The library knows no HTTP:
``serving.http.errors`` maps these classes to statuses.
"""

from __future__ import annotations


class RouterError(Exception):
    """Base class of every deliberate error of this project."""


class ConfigError(RouterError, ValueError):
    """A parameter file, command-line option or environment variable is wrong."""


class DataError(RouterError, ValueError):
    """Input data cannot be used as it is."""


class SchemaError(DataError):
    """A column, a dtype or a range is not as declared."""


class JoinError(DataError):
    """Duplicate, unmatched or rejected rows exceed the tolerance."""


class OverlapError(DataError):
    """The log cannot support this policy: its propensities are zero or nearly so."""


class ExportError(RouterError):
    """An estimator cannot be expressed in the bundle's graph."""


class ParityError(ExportError):
    """The exported graph and the Python estimator disagree."""


class RegistryError(RouterError):
    """The model registry cannot be reached, or holds no such version or alias."""


class ChampionMovedError(RegistryError):
    """The champion is not the version that the challenger was judged against."""


class LeaseError(RouterError):
    """Another loop holds the lease of a registered model, or took it over."""


class GateError(RouterError):
    """The promotion gate said no; the message carries its numbers."""


class BundleError(RouterError):
    """A bundle cannot be read or written."""


class BundleVersionError(BundleError):
    """The bundle's format version is not one that this release reads."""


class BundleIntegrityError(BundleError):
    """A file of the bundle is missing, or its bytes are not those of the manifest."""


class ScoringError(RouterError):
    """A request could not be scored."""


class InvalidRequestError(ScoringError):
    """The request contradicts itself or the loaded router; the caller can fix it."""


class NoCandidateError(InvalidRequestError):
    """The request is well-formed, but its limits leave no candidate; relax them."""


class OverBudgetError(InvalidRequestError):
    """Every candidate that may answer costs more than the budget has left."""


class ScorerUnavailableError(ScoringError):
    """No router is loaded, or the loaded one failed."""
