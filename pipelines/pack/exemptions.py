"""Digits of a text that are no results: each kind is exempt by a named rule, and no other is."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from importlib import resources

__all__ = ["FILLER", "RULES", "fixed_phrases", "hide", "hide_names"]

FILLER = "·"  # stands where an exempt character stood, so that places do not move

# (rule, pattern): the first group, where there is one, is what is exempt; else the whole match.
RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("web address or DOI", r"\bhttps?://\S+|\bdoi:\s?\S+|\b10\.\d{4,}/\S+"),
        ("model or run address", r"\b(?:models|runs):/\S+"),
        ("bibliography", r"(?:\d{4};\s?)?\b\d+(?:\(\d+\))?:[a-z]?\d+(?:[–-]\d+)?\b"),
        ("date", r"\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:Z| ?UTC)?)?"),
        ("date in words", r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|"
                          r"September|October|November|December) \d{4}\b"),
        ("hash", r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b|\b[0-9a-f]{32,64}\b"),
        ("version", r"\b(?:[Vv]ersion|[Rr]elease|[Pp]ython|v) ?\d+(?:\.\d+)*\b|"
                    r"\b\d+\.\d+\.\d+(?:[.\w]*\w)?\b"),
        ("year of a reference",
         r"(?<=[A-Za-z.])[ ,]*\(?((?:19|20)\d{2})[a-z]?\)(?!\s?(?:to|%))|"
         r"\bet al\.,? \(?((?:19|20)\d{2})\b"),
        ("label of a part", r"\b(?:Table|Figure|Fig\.|[Ii]tems?|Section|Appendix|Supplement|"
                            r"Chapter|Box|Equation) (\d+[a-z]?(?:\.\d+)*(?:[–, -]+\d+[a-z]?)*)\b"),
        ("name with digits", r"\b[A-Za-z]{2,}[A-Za-z_]*\d+[A-Za-z0-9_]*\b(?!\.\d)|"
                             r"\b[A-Z][A-Za-z]*[A-Z][A-Za-z]*-\d+[a-z]?\b(?!\.\d)|"
                             r"\b[RTFNM]\d\b(?!\.\d)|\b[RI]\^2\b"),
        ("level of confidence", r"\b(9[059](?:\.\d+)?%)(?=(?: \w+){0,2} (?:interval|intervals|"
                                r"confidence|CI|pointwise|limits|band|bands)\b|:|"
                                r" for all windows|\))"),
        ("denominator", r"\bper (1,000|1000|100|10)\b"),
        ("power asked for", r"\b((?:80|90)%)(?= power\b)"),
        ("value of no effect", r"(?:\b(?:[Aa]bove|[Bb]elow|[Nn]ear|than|at X =|around|reaches|"
                               r"against)|(?:^|[:.;,] )) ?\b([01])(?=,? (?:is|means|the|more|too|"
                               r"no|and|or)\b|[.;,]|$)(?![.,]\d)"),
        ("unit", r"(?<=[a-zA-Z/])\s?(\^?[23])(?=\b(?!\.\d))(?<=mm2|mm3|cm2|cm3|/m2|m\^2)"),
    )
)  # fmt: skip


def hide(text: str) -> str:
    """The text with every exempt digit covered, places unchanged.

    Examples
    --------
    >>> hide("95% interval 0.6 to 0.8 (Uno 2011), log1p(cd40), Table 2")
    '··· interval 0.6 to 0.8 (Uno ····), ·····(····), Table ·'
    """
    for phrase in fixed_phrases():
        text = phrase.sub(lambda m: re.sub(r"\d|(?<=\d)[.,](?=\d)|%", FILLER, m[0]), text)
    for _, pattern in RULES:
        text = pattern.sub(_cover, text)
    return text


def _cover(match: re.Match[str]) -> str:
    groups = [i for i in range(1, (match.re.groups or 0) + 1) if match[i] is not None]
    if not groups:
        return FILLER * len(match[0])
    start, end = match.start(groups[0]) - match.start(), match.end(groups[0]) - match.start()
    return match[0][:start] + FILLER * (end - start) + match[0][end:]


@cache
def fixed_phrases() -> tuple[re.Pattern[str], ...]:
    """Phrases of this program whose numbers are constants of the method, not results."""
    text = (resources.files("pipelines.pack") / "constants.toml").read_text("utf-8")
    return tuple(re.compile(phrase) for phrase in tomllib.loads(text)["phrases"])


def hide_names(text: str, names: tuple[str, ...], kept: re.Pattern[str]) -> str:
    """The text with what the study itself declared covered: nobody's labels are our claims.

    Parameters
    ----------
    text : str
    names : tuple of str
        Labels, names, levels, titles of the study. A bare number is not covered, nor is a name
        that is nothing but words the linter looks for (``kept``): a column called by such a word
        must not switch the rule off.
    kept : re.Pattern
    """
    pattern = _names_pattern(names, kept)
    return text if pattern is None else pattern.sub(lambda m: re.sub(r"\S", FILLER, m[0]), text)


@lru_cache(maxsize=8)
def _names_pattern(names: tuple[str, ...], kept: re.Pattern[str]) -> re.Pattern[str] | None:
    """One pattern of all names, the longest first, each as a whole word."""
    parts = []
    for name in sorted({" ".join(n.split()) for n in names}, key=lambda n: (-len(n), n)):
        bare = kept.sub("", name).strip(" ,;:.-–—")
        if len(name) < 2 or not any(c.isalpha() for c in bare):
            continue
        start = r"(?<!\w)" if name[0].isalnum() else ""
        end = r"(?!\w)" if name[-1].isalnum() else ""
        parts.append(start + re.escape(name) + end)
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None
