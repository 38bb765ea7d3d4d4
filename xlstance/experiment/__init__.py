"""The whole experiment: corpora, augmentation, training, retrieval, evaluation, report; arms by seeds."""
