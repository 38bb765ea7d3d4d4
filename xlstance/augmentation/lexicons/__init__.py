"""What a word means in other languages: word lists, titles, and what an encoder's word vectors say."""
