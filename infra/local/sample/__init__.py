"""The sample that ships with the project: three months of a real shop, dated so that it ends yesterday."""

from infra.local.sample.incident import Incident, Method
from infra.local.sample.report import REPORTS, Report
from infra.local.sample.sample import Poison, Sample, Variant

__all__ = ["REPORTS", "Incident", "Method", "Poison", "Report", "Sample", "Variant"]
