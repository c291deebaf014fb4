"""Reads scripts with PostgreSQL's own grammar: one file name a line on standard input, one JSON object a line on
standard output, with the C functions in order or the error."""

import json
import sys

from pglast.parser import ParseError, parse_sql_json

sys.setrecursionlimit(100_000)


def text(node):
    inner = node["String"]
    return inner.get("sval", inner.get("str", ""))


def function(statement):
    language, definition = None, None
    for option in statement.get("options", []):
        element = option["DefElem"]
        if element["defname"] == "language":
            language = text(element["arg"])
        elif element["defname"] == "as":
            definition = [text(item) for item in element["arg"]["List"]["items"]]
    if language != "c" or definition is None:
        return None
    return [text(statement["funcname"][-1]), *definition]


def functions(script):
    for statement in json.loads(parse_sql_json(script)).get("stmts", []):
        created = statement["stmt"].get("CreateFunctionStmt")
        found = created and function(created)
        if found:
            yield found


for line in sys.stdin:
    with open(line.rstrip("\n"), encoding="utf-8", newline="") as file:
        script = file.read()
    try:
        answer = {"functions": list(functions(script))}
    except ParseError as error:
        answer = {"error": error.args[0]}
    print(json.dumps(answer), flush=True)
