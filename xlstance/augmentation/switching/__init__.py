"""Code switching: words and phrases replaced by their translations."""
