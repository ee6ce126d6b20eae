"""Text that came from somebody else, made safe to show on a terminal or a page."""

import re
import unicodedata

# a CSI sequence (colours, cursor), a string sequence (titles, links), any other escape sequence
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)


def clean(value: object, limit: int = 4000) -> str:
    r"""Text that is safe to show: no escape sequences, no invisible characters, bounded.

    Parameters
    ----------
    value : object
        Anything; it is shown as `str` shows it.
    limit : int
        Longest text to return. A longer one ends in an ellipsis.

    Returns
    -------
    str
        The text without terminal escape sequences, control characters (line feeds and tabs stay) and
        invisible format characters, among them those that reorder text; a lone surrogate becomes
        U+FFFD. Joiners stay, since several scripts are misspelt without them.

    Examples
    --------
    >>> clean("\x1b[31mred\x1b[0m\r\nfile\u202etxt.exe")
    'red\nfiletxt.exe'
    >>> clean("a" * 10**6, limit=5)
    'aaaa…'
    """
    text = str(value)
    cut = len(text) > 4 * limit  # bounds the work below, and leaves room for what it removes
    text = _ANSI.sub("", text[: 4 * limit]).replace("\r\n", "\n")
    text = "".join(_visible(character) for character in text)
    return text[: limit - 1] + "…" if cut or len(text) > limit else text


def _visible(character: str) -> str:
    if character in "\n\t\u200c\u200d":
        return character
    match unicodedata.category(character):
        case "Cc" | "Cf":
            return ""
        case "Cs":
            return "\ufffd"
        case "Zl" | "Zp":
            return "\n"
    return character
