"""Training: recipes, the loop that runs them, and what a run leaves behind."""
