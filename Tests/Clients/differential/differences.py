"""Where Aerie differs from the real server, each with the reason. Calls are named by their group and number."""

# Meant to differ.
DELIBERATE = {
    "experiments 40": "a deleted experiment is a caller's mistake, and no 500",
    "experiments 52": "a body that is no object is a caller's mistake, and no 500",
    "versions 34": "archiving with a stage that is not active is a caller's mistake, and no 500",
    "registry searches 24": "a search that the real server fails at with a 500 is answered",
    "versions 32": "Development is a stage here",
    "datasets 28": "served below the address that the descriptors mean",
    "datasets 29": "served below the address that the descriptors mean",
    "datasets 30": "served below the address that the descriptors mean",
    "histories 08": "the history of no run is an error",
    "histories 24": "the history of no run is an error",
    "datasets 07": "a dataset has a name and a digest",
    "datasets 08": "a dataset has a name and a digest",
    "datasets 15": "a dataset has a name and a digest",
    "runs 09": "a tag has a key",
    "logged models 17": "a status that does not exist is an error, and no state of a model",
    "experiment searches 58": "a view that does not exist is an error",
    "run searches 101": "a view that does not exist is an error",
    "runs 18": "a status that does not exist is an error",
    "registered models 06": "names have at most 256 bytes",
    "registry searches 32": "a page token that is none is an error",
    "datasets 17": "follows from the datasets without a name that the real server keeps",
    "datasets 18": "follows from the datasets without a name that the real server keeps",
    "datasets 20": "follows from the datasets without a name that the real server keeps",
    "datasets 21": "follows from the datasets without a name that the real server keeps",
    "datasets 22": "follows from the datasets without a name that the real server keeps",
    "datasets 27": "follows from the datasets without a name that the real server keeps",
    "logged models 31": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 32": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 33": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 34": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 35": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 36": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 37": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 38": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 41": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 42": "follows from the state that the real server gave the model for a status that does not exist",
    "logged models 47": "follows from the state that the real server gave the model for a status that does not exist",
}

# Answers that have no order that could be compared.
BY_CHANCE = {
    "run searches 86": "ordered by identifiers that are made by chance",
    "registry searches 58": "versions of the same millisecond come in any order",
}

# Not meant to differ: what the real server does otherwise and Aerie is yet to follow. What agrees is to be struck off.
OPEN = {
    "corners of names, locations, views and the search grammar of experiments and registered models": [
        "experiment searches 06", "experiment searches 15", "experiment searches 19", "experiment searches 29",
        "experiment searches 32", "experiment searches 38", "experiment searches 48", "experiments 11",
        "experiments 22", "registry searches 29",
    ],
    "which points of a long history are shown": [
        "histories 11", "histories 15", "histories 22", "histories 23",
    ],
    "logged models: fields, repeated parameters, orders by dataset, errors": [
        "logged models 19", "logged models 20", "logged models 23", "logged models 24", "logged models 30",
        "logged models 44", "logged models 45", "logged models 46", "logged models 50", "logged models 51",
        "logged models 53",
    ],
    "a key repeated within one batch, and the models' tag written anew": [
        "logging 45", "logging 53", "logging 59",
    ],
    "corners of the run search grammar and of identifiers": [
        "run searches 55", "run searches 58", "run searches 59", "runs 13",
    ],
    "trace information: where spans are, finalized marks, links to several runs": [
        "traces 03", "traces 04", "traces 06", "traces 08", "traces 13", "traces 14", "traces 15", "traces 16",
        "traces 17", "traces 19", "traces 20", "traces 21", "traces 24", "traces 25",
    ],
    "versions: empty descriptions, numbers after a deletion, alias named latest, aliases in lists, sources": [
        "versions 09", "versions 12", "versions 19", "versions 28", "versions 30", "versions 35", "versions 37",
        "versions 38", "versions 42", "versions 61", "versions 62", "versions 73", "versions 74", "versions 75",
    ],
}

_REASONS = {**DELIBERATE, **BY_CHANCE, **{call: why for why, calls in OPEN.items() for call in calls}}


def known(name: str) -> str:
    """The group and number that a call's name begins with."""
    words = name.split(" ")
    return " ".join(words[: next(at for at, word in enumerate(words) if word.isdigit()) + 1])


def reason(name: str) -> str | None:
    return _REASONS.get(known(name))
