"""Which fields of a record do not leave for BigQuery as they are, and what becomes of them: from marks and paths."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, reduce
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from shared.schema.bigquery import columns
from shared.schema.record import HIDING, Mark, Record, Renamed, Transforms, marks_in, marks_of

EVERY = "*"
"""Every key of a map."""
NAME = re.compile(r"`((?:[^`\\]|\\.)+)`|([^.`]+)")
ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Step:
    """What becomes of one field: an action on all of it, or steps for the fields in it; and its new name."""

    action: Mark | None = None
    name: str = ""
    within: Mapping[str, "Step"] = field(default_factory=dict)

    @property
    def hides(self) -> bool:
        """True where something of the field must not leave as it is."""
        return self.action is not None or any(step.hides for step in self.within.values())

    @property
    def hashes(self) -> bool:
        """True where it takes a key."""
        return self.action is Mark.HASHED or any(step.hashes for step in self.within.values())


Steps = Mapping[str, Step]
"""Steps by the names of fields; those of `*` are for every other name."""


@cache
def steps_of(record: type[Record]) -> Steps:
    """What becomes of each field that does not leave as it is; empty for most records.

    TypeError where a declaration contradicts itself, or cannot keep what it promises.
    """
    kinds = {column.name: column.type for column in columns(record)}
    by_paths = steps_of_paths(record.transforms)
    for name, step in by_paths.items():
        if name in record.model_fields and (step.action or step.name or kinds.get(name) != "JSON"):
            raise TypeError(f"{record.__name__}.{name}: mark the declared field instead of naming its path")
    return _settled(_both(Step(within=_of_model(record)), Step(within=by_paths))).within


def steps_of_paths(paths: Transforms) -> Steps:
    """What paths say. ValueError where one is no path, TypeError where two contradict each other."""
    steps = [Step()]
    for action, listed in ((Mark.DROPPED, paths.drop), (Mark.HASHED, paths.hash), (Mark.MASKED, paths.mask)):
        steps += [_at(path, Step(action)) for path in listed]
    steps += [_at(path, Step(name=name)) for path, name in paths.rename]
    return _settled(reduce(_both, steps)).within


def names_of(path: str) -> tuple[str, ...]:
    """The names of a path as Firestore writes it: parts between dots, in backticks where they have one. ValueError."""
    names, at = [], 0
    while found := NAME.match(path, at):
        names.append(found[2] or ESCAPED.sub(r"\1", found[1]))
        at = found.end()
        if at == len(path):
            return tuple(names)
        if path[at] != ".":
            break
        at += 1
    raise ValueError(f"{path!r} is not the path of a field, as `address.street` is")


def _of_model(model: type[BaseModel]) -> dict[str, Step]:
    found = {}
    for name, info in model.model_fields.items():
        step = _of_annotation(info.annotation, marks_of(info))
        if step is not None:
            found[name] = step
    return found


def _of_annotation(annotation: Any, marks: tuple[Any, ...] = ()) -> Step | None:
    action = next((mark for mark in HIDING if mark in marks), None)
    name = next((mark.name for mark in marks if isinstance(mark, Renamed)), "")
    within = {} if action else _inside(annotation)
    return Step(action, name, within) if action or name or within else None


def _inside(annotation: Any) -> dict[str, Step]:
    """Steps for what lies in a value of this type: a model's fields, every key of a map; lists are passed through."""
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        return _inside(parts[0])
    if kind is dict:
        step = _of_annotation(parts[1], tuple(marks_in(parts[1])))
        return {EVERY: step} if step else {}
    if kind in (Union, UnionType, list, tuple):
        return dict(reduce(_both, (Step(within=_inside(part)) for part in parts)).within)
    return _of_model(annotation) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}


def _at(path: str, step: Step) -> Step:
    for name in reversed(names_of(path)):
        step = Step(within={name: step})
    return step


def _both(one: Step, other: Step) -> Step:
    """Two steps of the same field as one."""
    if (one.action and other.action not in (None, one.action)) or (one.name and other.name not in ("", one.name)):
        raise TypeError("a field is transformed in two ways")
    within = dict(one.within)
    for name, step in other.within.items():
        within[name] = _both(within[name], step) if name in within else step
    return Step(one.action or other.action, one.name or other.name, within)


def _settled(step: Step) -> Step:
    """With what is said of every key said of the keys that are named too, and no two fields under one name."""
    within, every = dict(step.within), step.within.get(EVERY)
    if every is not None:
        within = {name: found if name == EVERY else _both(found, every) for name, found in within.items()}
    names = [inner.name for inner in within.values() if inner.name]
    if len(set(names)) < len(names) or (every is not None and every.name):
        raise TypeError(f"two fields leave as {max(names, key=names.count)}")
    return Step(step.action, step.name, {name: _settled(inner) for name, inner in within.items()})
