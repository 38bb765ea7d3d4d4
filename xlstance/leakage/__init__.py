"""The audit of training data against evaluation sets: the same questions, the same sentences, the same ids."""
