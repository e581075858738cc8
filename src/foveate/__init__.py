"""Optical context compression: pages to few vision tokens, and back to text."""

__version__ = "0.1.0.dev0"
