"""The catalogue: every detector of the `.yaml` files beside this one, a file a domain."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shared.detectors.declaration import Detector

FOLDER = Path(__file__).resolve().parent


class CatalogueError(ValueError):
    """A declaration that cannot be used; the message names the file, the detector and the field."""


@cache
def catalogue() -> tuple[Detector, ...]:
    """All detectors, those of data quality first, then by domain and as declared."""
    return load(FOLDER)


def load(folder: Path) -> tuple[Detector, ...]:
    """The detectors of a folder's files. CatalogueError at the first that is wrong."""
    found: dict[str, Detector] = {}
    paths = sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != "data_quality", path.stem))
    for path in paths:
        for entry in _entries(path):
            detector = _detector(path, entry)
            if detector.id in found:
                raise CatalogueError(f"{path.name}: {detector.id}: id: declared twice")
            found[detector.id] = detector
    return tuple(found.values())


def _entries(path: Path) -> list[Any]:
    try:
        entries = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise CatalogueError(f"{path.name}: not YAML: {error}") from error
    if not isinstance(entries, list):
        raise CatalogueError(f"{path.name}: a file holds a list of detectors")
    return entries


def _detector(path: Path, entry: Any) -> Detector:
    name = entry.get("id", "?") if isinstance(entry, dict) else "?"
    try:
        return Detector.model_validate({"domain": path.stem, **entry})
    except (ValidationError, TypeError) as error:
        if not isinstance(error, ValidationError):
            raise CatalogueError(f"{path.name}: {name}: a detector is a mapping of fields") from error
        reasons = "; ".join(
            ": ".join(part for part in (".".join(map(str, problem["loc"])), problem["msg"]) if part)
            for problem in error.errors()
        )
        raise CatalogueError(f"{path.name}: {name}: {reasons.replace('Value error, ', '')}") from error
