"""Asking for a run of every tenant: one that cannot be asked stops no other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from shared.errors import AppError, Unavailable


@dataclass
class Asked:
    """The runs that were asked for, and why some tenants have none."""

    run_ids: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def ask_each(tenant_ids: Iterable[str], ask: Callable[[str], str | None]) -> Asked:
    """Ask for a run of each tenant; `ask` returns its id, or None where there is nothing to do.

    Unavailable, once all were tried, where asking again may help; those that were asked then run twice, harmlessly.
    """
    asked, again = Asked(), False
    for tenant_id in tenant_ids:
        try:
            run_id = ask(tenant_id)
        except AppError as error:
            asked.failed[tenant_id] = f"{error.reason}: {error.message}"
            again = again or isinstance(error, Unavailable)
        else:
            asked.run_ids += [run_id] if run_id else []
    if again:
        raise Unavailable("not every tenant could be asked", failed=asked.failed)
    return asked
