"""Earlier runs in one report: what they may be compared on, what differs between them, and their arms side by side."""
