"""A cluster of one's own on one machine, and jobs submitted to that or any other Ray cluster."""
