"""XL-Stance, the stance-retrieval benchmark of this project: an embedded collection, and X-Stance as a user has it."""
