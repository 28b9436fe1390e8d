"""The folder that one function is deployed from: its own files, `shared/` and the pinned requirements; nothing else."""

import shutil
from pathlib import Path

from infra.functions import FunctionSpec

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "function.yaml")


def stage(function: FunctionSpec, build: Path) -> Path:
    """Write `build/<function>` afresh; its path."""
    folder = build / function.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(function.folder, folder, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "shared", folder / "shared", ignore=LEFT_OUT)
    shutil.copy(ROOT / "requirements.txt", folder / "requirements.txt")
    return folder
