"""Where Aerie differs from the real server, each with the reason. Calls are named by their group and number."""

# Meant to differ.
DELIBERATE = {
    "experiments 40": "a deleted experiment is a caller's mistake, and no 500",
    "experiments 52": "a body that is no object is a caller's mistake, and no 500",
    "versions 34": "archiving with a stage that is not active is a caller's mistake, and no 500",
    "registry searches 24": "a search that the real server fails at with a 500 is answered",
    "trace searches 50": "an issue is found by its id; a search for what it has not is a mistake",
    "trace searches 76": "a trace is found by its identifier under the name that the API gives it",
    "trace searches 86": "a list where a text belongs is an invalid parameter, here as elsewhere",
    "trace searches 89": "a pattern that is none is a mistake; the real server finds nothing and says nothing",
    "trace metrics 30": "a view that does not exist is an error",
    "trace metrics 31": "what lacks a parameter is an invalid parameter, here as elsewhere",
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
    "experiments 11": "a location that leads out of the artifacts' root is refused",
    "experiment searches 06": "follows from the experiment whose location leads out of the root",
    "experiment searches 15": "follows from the experiment whose location leads out of the root",
    "experiment searches 19": "a list of names is answered, as elsewhere in the grammar",
    "experiment searches 29": "a filter that ends with AND was cut short, and half a filter finds too much",
    "experiment searches 32": "attributes may be called so in every search",
    "experiment searches 38": "experiments can be ordered by a tag",
    "experiment searches 48": "a search that names no size gets a page of the size that its description promises",
    "registry searches 29": "registered models can be ordered by when they were made",
    "run searches 55": "a list without its commas is a mistake; the real server finds nothing and says nothing",
    "run searches 58": "a filter of blanks is no filter",
    "run searches 59": "runs are found by their experiment, which they have among their attributes",
    "logged models 19": "the path names the model, and it is not there",
    "logged models 50": "a page without a size is an error, as in every other search",
    "logging 59": "the tag holds the description as the client wrote it, without fields that it did not write",
    "versions 12": "a source that is not there is said to be not there",
    "versions 62": "a version's aliases are told wherever the version is",
    "versions 74": "a version's aliases are told wherever the version is",
    "versions 19": "a version whose description was taken away has an empty one, as one that never had any",
    "versions 28": "a version whose description was taken away has an empty one, as one that never had any",
    "versions 30": "a version whose description was taken away has an empty one, as one that never had any",
    "versions 35": "a version whose description was taken away has an empty one, as one that never had any",
    "versions 37": "a version whose description was taken away has an empty one, as one that never had any",
    "versions 38": "a version whose description was taken away has an empty one, as one that never had any",
    "versions 42": "a version whose description was taken away has an empty one, as one that never had any",
    "versions 75": "a version whose description was taken away has an empty one, as one that never had any",
    "logged models 44": "a data set named without its digest is found by its name",
}

# Answers that have no order that could be compared.
BY_CHANCE = {
    "histories 23": "the real server reads several runs in an order of its own, Aerie in the order asked for",
    "run searches 86": "ordered by identifiers that are made by chance",
    "registry searches 58": "versions of the same millisecond come in any order",
}

# Not meant to differ: what the real server does otherwise and Aerie is yet to follow. What agrees is to be struck off.
OPEN: dict[str, list[str]] = {}

_REASONS = {**DELIBERATE, **BY_CHANCE, **{call: why for why, calls in OPEN.items() for call in calls}}


def known(name: str) -> str:
    """The group and number that a call's name begins with."""
    words = name.split(" ")
    return " ".join(words[: next(at for at, word in enumerate(words) if word.isdigit()) + 1])


def reason(name: str) -> str | None:
    return _REASONS.get(known(name))
