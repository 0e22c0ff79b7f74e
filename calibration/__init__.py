"""Calibration: statistics that are streamed over samples, and the ranges that follow from them. numpy alone."""
