"""One run on many processes: pipeline stages, data-parallel groups across them, and experts that are shared.

The model files know nothing of it. See docs/parallel.md.
"""
