"""The data engine: training samples, each a function of a seed or of a source file."""
