"""Texts of many languages, and a vocabulary trained on them."""

from pathlib import Path

import pytest

from xlstance.encoders import train_vocabulary

_SENTENCES = [
    "The Super Bowl of 2008 was played in New York.",
    "Im Jahr 2008 fand das Endspiel in New York statt.",
    "En 2008, la final se jugó en Nueva York.",
    "Το 2008 ο τελικός έγινε στη Νέα Υόρκη.",
    "В 2008 году финал прошёл в Нью-Йорке.",
    "أقيمت المباراة النهائية عام 2008 في نيويورك.",
    "2008 में फाइनल न्यूयॉर्क में खेला गया था।",
    "การแข่งขันรอบชิงชนะเลิศปี 2008 จัดขึ้นที่นิวยอร์ก",
    "2008 yılında final İstanbul'da oynandı.",
    "Năm 2008, trận chung kết diễn ra ở New York.",
    "在2008年，Super Bowl决赛在纽约举行。",
    "2008年の決勝戦はニューヨークで行われた。",
]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Fifty texts in twelve languages, from one word to several hundred tokens."""
    return [" ".join(_SENTENCES[(i + j) % 12] for j in range(30))[: 6 + i * i * 2 // 3] for i in range(50)]


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a small ``tokenizer.json``."""
    path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    train_vocabulary(_SENTENCES * 3, 400).save(str(path))
    return path
