"""Evidence about synthetic tables: a report on their quality."""

from skgm.evidence._findings import Finding
from skgm.evidence._likelihood import HeldOut
from skgm.evidence._report import TableReport, report

__all__ = ["Finding", "HeldOut", "TableReport", "report"]
