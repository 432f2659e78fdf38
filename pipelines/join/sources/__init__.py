"""Readers: whatever a log, its labels or its prices are kept in -> canonical columns."""
