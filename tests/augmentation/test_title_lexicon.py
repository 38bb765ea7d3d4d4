from xlstance.augmentation.lexicons.titles import title_lexicon
from xlstance.tables import make_table


def passages(*rows):
    """A table of passages; rows of (group, language, title)."""
    groups, langs, titles = zip(*rows, strict=True)
    ids = [f"p{row}" for row in range(len(rows))]
    columns = {"passage_id": ids, "lang": langs, "text": ids, "title": titles, "group_id": groups}
    return make_table("passages", columns)


def test_titles_of_a_group_are_translations():
    first = passages(
        ("a", "en", "Cat"), ("a", "de", "Katze"), ("a", "es", "Gato"), ("b", "en", "Cat_(animal)"),
        ("b", "es", "Felino"), ("c", "en", "CAT"), ("c", "es", "Gato"), ("d", "en", "Berlin"), ("d", "es", "Berlín"),
    )  # fmt: skip
    second = passages(("e", "en", "New_York City"), ("e", "es", "Ciudad de Nueva York"), ("e", "en", None))
    assert title_lexicon([first, second], "en", "es") == {
        "berlin": {"berlín": 1.0},
        "cat": {"gato": 2.0, "felino": 1.0},
        "new york city": {"Ciudad de Nueva York": 1.0},
    }
    assert list(title_lexicon([first], "en", "es")["cat"]) == ["gato", "felino"]  # what most groups say first
    assert title_lexicon([first], "en", "de") == {"cat": {"Katze": 1.0}}  # German nouns keep their capital


def test_what_is_no_translation_is_left_out():
    table = passages(
        ("a", "en", "Paris"), ("a", "es", "paris"), ("b", "en", "(x)"), ("b", "es", "Y"), ("c", "en", "Dog"),
        ("d", "es", "Perro"), ("e", "fr", "Chien"), ("f", "en", "Tree"), ("f", "es", None),
    )  # fmt: skip
    assert title_lexicon([table], "en", "es") == {}


def test_passages_of_a_group_are_counted_once():
    table = passages(("a", "en", "Cat"), ("a", "en", "Cat"), ("a", "es", "Gato"), ("a", "es", "Gato"))
    assert title_lexicon([table], "en", "es") == {"cat": {"gato": 1.0}}
