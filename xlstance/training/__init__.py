"""Training: batch plan, training store, contrastive loss, and the loop that DeepSpeed runs with or without Ray."""
