"""What papers need of a report: tables in Markdown and LaTeX, and pictures."""
