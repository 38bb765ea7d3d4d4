"""What a passage may be cut to, and the sentence of a paragraph that holds an answer."""

import re
from typing import Literal

Passage = Literal["paragraph", "sentence", "sentence+context"]
"""A paragraph, the sentence that holds the answer, or that sentence with the paragraph in the column ``context``."""

# A full stop ends a sentence when white space follows; the marks of scripts without spaces do so alone. Thai has
# none, so a Thai paragraph mostly stays whole.
_SENTENCE = re.compile(r".+?(?:[.!?؟।…][\"'”»)\]]*(?=\s)|[。！？][」』”）]*|$)", re.DOTALL)


def sentence_at(text: str, start: int) -> str:
    """The sentence of a paragraph that holds a character offset.

    A plain rule for corpora that list no sentences; it also cuts after abbreviations.
    """
    for match in _SENTENCE.finditer(text):
        if start < match.end():
            return match.group().strip()
    return text
