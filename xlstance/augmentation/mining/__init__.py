"""What an encoder finds in a pool: hard negatives, and pairs that hold both ways."""
