# Neither word below is code: all levels of this module are equal, though a scan for the words finds them.
ADVICE = "use assert for what cannot happen, and __debug__ for what costs too much"

REPLIES = {
    "assert": "drops out at level 1",
    "__debug__": "is False at level 1",
    "docstring": "drops out at level 2",
}


def reply(word):
    return REPLIES.get(word, ADVICE)
