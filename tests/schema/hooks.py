"""Puts credentials and ids that exist into requests that were made from a document.

What exists is told in the variable SCENE, JSON; see tests/tests/dialects/fuzz.rs. Of each kind of value two thirds are replaced,
so that the rest is tried as it was made."""

import base64
import json
import os
import random

import schemathesis

SCENE = json.loads(os.environ["SCENE"])
FILES = {name: [[base64.b64decode(text)]] for name, text in SCENE["files"].items()}
# Drawn in the order of the requests, which the seed of the run fixes.
CHANCE = random.Random(SCENE["seed"])
# Parts of paths whose operations end what others need: they only get what is theirs to end.
ENDS = ("disconnect", "restart", "connect", "regenerate", "leave")


def replaced():
    return CHANCE.random() < 2 / 3


def ends(case):
    """Whether the operation may end what others need."""
    return case.method == "DELETE" or any(word in case.path for word in ENDS)


def ids(case):
    """The values that exist, by the name of a parameter or a member."""
    kind = case.path.strip("/").split("/")
    spare = SCENE["spare"].get(case.path) if ends(case) else None
    by_path = next((SCENE["ids"][part] for part in reversed(kind) if part in SCENE["ids"]), None)
    path_id = spare or (None if ends(case) else by_path)
    group = None if "leave" in case.path else SCENE["values"].get("jid")
    return {**SCENE["values"], **FILES, "id": path_id, "jid": group}


def put(values, known):
    for name in list(values):
        real = known.get(name)
        if real is not None and replaced():
            values[name] = CHANCE.choice(real) if isinstance(real, list) else real


@schemathesis.hook
def before_call(ctx, case, kwargs):
    known = ids(case)
    if isinstance(case.path_parameters, dict):
        put(case.path_parameters, known)
        # Ids are also learned from answers.
        if ends(case) and str(case.path_parameters.get("id")) in SCENE["keep"]:
            case.path_parameters["id"] = (SCENE["spare"].get(case.path) or ["4"])[0]
    if isinstance(case.query, dict):
        put(case.query, known)
    if isinstance(case.body, dict):
        put(case.body, known)
    # A key that was used before gets the answer of that time: here every request is one of its own.
    for name in list(case.headers or {}):
        if name.lower() == "idempotency-key" and replaced():
            del case.headers[name]
    account = any(case.path.startswith(start) for start in SCENE["account_paths"])
    name, key = SCENE["account_key"] if account else SCENE["key"]
    if CHANCE.random() < 0.97:
        case.headers[name] = key

