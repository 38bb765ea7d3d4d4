"""Encoders: texts in, unit vectors out; a transformer or a static encoder behind one interface."""

from xlstance.encoders.base import Batch, Encoder, Tokens
from xlstance.encoders.load import load_encoder
from xlstance.encoders.settings import EncoderSettings
from xlstance.encoders.start import align_by_lexicon, weigh_by_rarity
from xlstance.encoders.static import StaticEncoder
from xlstance.encoders.vocabulary import train_vocabulary

__all__ = [
    "Batch",
    "Encoder",
    "EncoderSettings",
    "StaticEncoder",
    "Tokens",
    "align_by_lexicon",
    "load_encoder",
    "train_vocabulary",
    "weigh_by_rarity",
]
