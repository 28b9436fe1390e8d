"""The data themselves: the raw tables, their columns, how campaigns are spelled."""

from shared.analytics.entities.entity import Entity

DATA: tuple[Entity, ...] = (Entity("source_table", "", ("attributes",), keys=("row_count",)),)
