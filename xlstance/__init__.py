"""xlstance: train and prove multilingual retrievers with little language bias, on Ray."""

__version__ = "0.1.0"
