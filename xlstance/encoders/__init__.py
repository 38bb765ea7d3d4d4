"""Encoders: texts in, unit vectors out; a transformer or a static encoder behind one interface."""

from xlstance.encoders.base import Batch, Encoder, Tokens
from xlstance.encoders.load import load_encoder
from xlstance.encoders.lora import LoraSettings, add_adapters
from xlstance.encoders.model_card import CARD, ModelFacts, write_model_card
from xlstance.encoders.settings import EncoderSettings
from xlstance.encoders.start import align_by_lexicon, weigh_by_rarity
from xlstance.encoders.static import StaticEncoder
from xlstance.encoders.vocabulary import train_vocabulary

__all__ = [
    "CARD",
    "Batch",
    "Encoder",
    "EncoderSettings",
    "LoraSettings",
    "ModelFacts",
    "StaticEncoder",
    "Tokens",
    "add_adapters",
    "align_by_lexicon",
    "load_encoder",
    "train_vocabulary",
    "weigh_by_rarity",
    "write_model_card",
]
