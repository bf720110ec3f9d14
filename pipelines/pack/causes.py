"""Words that say cause, and when a text on attribution may still hold one."""

from __future__ import annotations

import re

__all__ = ["causal_words"]


def _forms(*stems: str) -> str:
    """The inflections of regular verbs: e-stems drop the e, others take endings."""
    found = []
    for stem in stems:
        if stem.endswith("e"):
            found.append(rf"{stem[:-1]}(?:e|es|ed|ing)")
        else:
            found.append(rf"{stem}(?:s|es|ed|ing)?")
    return "|".join(found)


# Never allowed: each says that one thing makes another happen.
_STRONG = re.compile(
    r"(?i)\b(?:"
    + _forms("cause", "trigger", "induce", "provoke", "protect", "prevent", "promote", "inhibit",
             "suppress", "improve", "worsen", "harm", "help", "cure", "prolong", "shorten",
             "delay", "accelerate", "enhance", "impair", "aggravate", "mitigate", "alleviate",
             "ameliorate", "affect", "influence", "determine", "stimulate", "modulate", "mediate",
             "facilitate", "hasten", "generate")
    + r"|inhibitor|impact(?:s|ed|ing)|slows|slowed|slowing|kills?|killed"
    r"|driv(?:e|es|en|ing|er|ers)|drove"
    r"|(?:lead|leads|leading|led) to|(?:result|results|resulting|resulted) in"
    r"|(?:bring|brings|brought) about|(?:give|gives|gave|giving) rise to"
    r"|(?:extend|extends|extended) (?:the )?(?:survival|life|lives|time)"
    r"|(?:make|makes|made|making) (?:the |these |those )?(?:patients?|people|tumou?rs?|outcomes?)"
    r"|responsible for|due to|owing to|thanks to|because of|caus(?:al|ally|ality|ation|ative)"
    r"|protective|harmful|beneficial|culprits?|underl(?:ies|ying) mechanism"
    r")\b"
)  # fmt: skip

# Allowed of the model's own output alone ("raises the predicted risk").
_WEAK = re.compile(
    r"(?i)\b(?:"
    + _forms("raise", "lower", "increase", "decrease", "reduce", "elevate", "boost", "diminish",
             "push", "pull", "shift", "move", "change", "double", "halve")
    + r"|cuts?|halved)\b"
)  # fmt: skip
_OUTPUT = re.compile(
    r"(?i)^,? (?:the |this |that |a |its |each |every |their )?(?:(?:model|patient)[’']?s? |own )?"
    r"(?:mean |average )?(?:predict(?:ion|ions|ed)|forecasts?|margins?|attributions?|scores?|"
    r"model output|output|log[ -](?:odds|hazard) margin)\b"
)
_AS_NOUN = re.compile(r"(?i)\b(?:an?|the|this|that|no|any|with|of|at|for|each|per|and|or|to|in) $")
_MOVED_ITSELF = re.compile(
    r"(?i)^(?: up| down| (?:from|between|when|over|with|across|by)\b|[.,;)]|$)"
)

# Sentences that deny a reading may name what they deny.
_DENIED = re.compile(
    r"(?i)\b(?:do|does|did|can|could|may|must|should|will)(?: not|not|n[’']t) "
    r"(?:show|say|mean|prove|imply|tell|establish|demonstrate|read|be read|determine how|"
    r"determine whether|support)\b|\bcannot (?:show|say|mean|prove|imply|tell|establish)\b"
    r"|\b(?:says?|shows?|tells?|proves?) nothing\b|\bno (?:evidence|proof) (?:that|of)\b"
    r"|\bnot (?:evidence|proof) (?:that|of)\b|\bnothing here\b"
    r"|\b(?:is|are|it is|as) (?:not|never) (?:a )?caus(?:e|es|al|ation)\b|, not caus(?:e|ation)\b"
    r"|\bnot? caus(?:e|al|ation)(?= (?:claim|reading|interpretation)|[.,;]|$)"
)
_COUNTERFACTUAL = re.compile(
    r"(?i)\bif\b[^.;]{0,80}\b(?:were|was|is) (?:raised|lowered|reduced|increased|changed|removed|"
    r"corrected|normalised)\b"
)


def causal_words(sentence: str) -> list[str]:
    """Words of a sentence on attribution that say cause, in order.

    Examples
    --------
    >>> causal_words("VEGF drives survival and lowers the predicted risk.")
    ['drives']
    >>> causal_words("Attribution does not show that VEGF causes anything.")
    []
    """
    found: list[tuple[int, str]] = []
    for start, clause in _clauses(sentence):
        denied = _DENIED.search(clause)
        limit = len(clause) if denied is None else denied.start()
        for match in _STRONG.finditer(clause):
            if match.start() < limit and not _results(clause, match):
                found.append((start + match.start(), match[0]))
        for match in _WEAK.finditer(clause):
            if match.start() < limit and not _harmless(clause, match):
                found.append((start + match.start(), match[0]))
        for match in _COUNTERFACTUAL.finditer(clause):
            if match.start() < limit:
                found.append((start + match.start(), match[0]))
    return [word for _, word in sorted(found)]


def _clauses(sentence: str) -> list[tuple[int, str]]:
    """Parts between semicolons, colons and 'but': a denial covers its own part only."""
    parts, start = [], 0
    for match in re.finditer(r"[;:] | but | yet | whereas |, so ", sentence):
        parts.append((start, sentence[start : match.start()]))
        start = match.end()
    return [*parts, (start, sentence[start:])]


def _results(clause: str, match: re.Match[str]) -> bool:
    """Whether 'results in' is a noun with a place."""
    before = clause[: match.start()]
    return match[0].lower() == "results in" and bool(
        re.search(r"(?i)\b(?:the|these|those|all|our|its|other) $", before)
    )


def _harmless(clause: str, match: re.Match[str]) -> bool:
    """Whether a weak verb is a noun, an adjective, without object, or about the model's output."""
    before, after = clause[: match.start()], clause[match.end() :]
    word = match[0].lower()
    if _OUTPUT.match(after) or _MOVED_ITSELF.match(after):
        return True
    if word in ("moved", "moving", "changed", "changing", "shifted", "lower", "change", "double"):
        return not re.match(r"(?i) (?:the |a )?(?:risk|hazard|survival|outcome|response|mortality|"
                            r"prognosis|benefit|effect)", after) or (word == "lower" and bool(
            _AS_NOUN.search(before) or re.search(r"(?i)\b(?:is|are|has|have|than|means?) $", before)
        ))  # fmt: skip
    return bool(_AS_NOUN.search(before))
