"""Loads that a deployed engine meets: ``loadgen`` has MLPerf's four, ``camera`` frames that do not wait."""
