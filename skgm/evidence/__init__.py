"""Evidence about synthetic tables: a report on their quality, and attacks on their privacy."""

from skgm.evidence._findings import Finding
from skgm.evidence._likelihood import HeldOut
from skgm.evidence._privacy import PrivacyAudit, privacy_audit
from skgm.evidence._report import TableReport, report

__all__ = ["Finding", "HeldOut", "PrivacyAudit", "TableReport", "privacy_audit", "report"]
