"""Reads nginx configurations with crossplane, a parser that is not ours, and prints every directive with the blocks it
stands in: {file: [[[block, ...], directive, [argument, ...]], ...]} as JSON. Arguments: the files."""
import json
import sys

import crossplane


def directives(block, path):
    for statement in block:
        yield [path, statement["directive"], statement["args"]]
        yield from directives(statement.get("block", []), path + [statement["directive"]])


found = {}
for name in sys.argv[1:]:
    payload = crossplane.parse(name, single=True, catch_errors=False, check_ctx=False, check_args=False, comments=False)
    found[name] = list(directives(payload["config"][0]["parsed"], []))
json.dump(found, sys.stdout)
