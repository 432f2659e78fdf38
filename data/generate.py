"""Write the samples of this folder anew: ``python data/generate.py``."""

from __future__ import annotations

from pathlib import Path

from pipelines.samples.files import write_samples

if __name__ == "__main__":
    write_samples(Path(__file__).parent)
