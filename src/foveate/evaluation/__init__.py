"""Measuring of any reader: what it read against what the page says."""
