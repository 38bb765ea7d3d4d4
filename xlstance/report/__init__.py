"""The report of an experiment: the page, the tables and pictures for papers, and the table that a console shows."""
