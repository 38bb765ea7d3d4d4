"""What the ranks of an encoder are worth: protocol, metrics, language bias, results and the report."""
