"""The places of a C file where scripts/mutate can make it wrong: lists of (kind, from, to,
text), where the bytes from..to become text. clang's syntax tree finds them; what a macro has
made is left alone."""
import json
import re
import subprocess

OPERATORS = {
    "==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "+": "-", "-": "+",
    "*": "/", "/": "*", "%": "*", "&&": "||", "||": "&&", "&": "|", "|": "&", "<<": ">>",
    ">>": "<<", "+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "++": "--", "--": "++",
}
# What only tells or frees: nobody can tell, or valgrind does.
DULL = re.compile(rb"^(log_line|log_|free|assert|pthread_mutex_(init|destroy)|memset)\b")


class Finder:
    def __init__(self, source):
        self.source = source
        self.sites = []

    def add(self, kind, span, text):
        if span and self.source[span[0]:span[1]] != text.encode():
            self.sites.append((kind, span[0], span[1], text))

    def span(self, node):
        """The bytes of a node that is in this file and in no macro, or None."""
        begin, end = node.get("range", {}).get("begin", {}), node.get("range", {}).get("end", {})
        for each in (begin, end):
            if "offset" not in each or "includedFrom" in each:
                return None
        return begin["offset"], end["offset"] + end["tokLen"]

    def text(self, span):
        return self.source[span[0]:span[1]].decode(errors="replace")

    def negate(self, condition):
        span = self.span(condition)
        if not span:
            return
        text = self.text(span)
        if condition["kind"] == "UnaryOperator" and condition.get("opcode") == "!":
            self.add("condition", span, "(" + text[1:] + ")")
        else:
            self.add("condition", span, "!(" + text + ")")

    def binary(self, node):
        left, right = (self.span(each) for each in node["inner"])
        new = OPERATORS.get(node["opcode"])
        if not (left and right and new):
            return
        between = re.sub(rb"/\*.*?\*/", lambda m: b" " * len(m[0]),
                         self.source[left[1]:right[0]], flags=re.S)
        at = between.find(node["opcode"].encode())
        if at < 0 or between.replace(node["opcode"].encode(), b"").strip(b" \n()"):
            return
        self.add("operator", (left[1] + at, left[1] + at + len(node["opcode"])), new)
        if node["opcode"] in ("&&", "||"):
            whole = self.span(node)
            self.add("operand", whole, "(" + self.text(left) + ")")
            self.add("operand", whole, "(" + self.text(right) + ")")

    def returns(self, node):
        value = node["inner"][0]
        span = self.span(value)
        if not span:
            return
        text, kind = self.text(span), value.get("type", {}).get("qualType", "")
        if kind in ("bool", "_Bool"):
            self.add("return", span, "!(" + text + ")")
        elif "*" in kind:
            self.add("return", span, "NULL")
        elif text == "0":
            self.add("return", span, "-1")
        elif not kind.startswith("struct"):
            self.add("return", span, "0")

    def statement(self, node):
        """One that can be left out."""
        span = self.span(node)
        if not span or DULL.match(self.source[span[0]:span[1]]):
            return
        kind, inner = node["kind"], node
        while kind in ("CStyleCastExpr", "ImplicitCastExpr", "ParenExpr"):
            inner = inner["inner"][0]
            kind = inner["kind"]
        if kind == "CallExpr":
            self.add("call", span, "(void)0")
        elif kind == "CompoundAssignOperator" or (
                kind == "BinaryOperator" and node.get("opcode") == "="):
            self.add("assignment", span, "(void)0")
        elif kind == "UnaryOperator" and node.get("opcode") in ("++", "--"):
            self.add("assignment", span, "(void)0")

    def visit(self, node):
        kind, inner = node.get("kind"), node.get("inner", [])
        if kind in ("BinaryOperator", "CompoundAssignOperator"):
            self.binary(node)
        elif kind == "UnaryOperator":
            span = self.span(node)
            if span and node["opcode"] in ("++", "--"):
                at = span[1] - 2 if node.get("isPostfix") else span[0]
                self.add("operator", (at, at + 2), OPERATORS[node["opcode"]])
            elif span and node["opcode"] == "!":
                self.add("condition", span, "!!" + self.text(span)[1:])
        elif kind == "IntegerLiteral":
            span = self.span(node)
            if span:
                text = self.text(span)
                self.add("constant", span, "1" if text == "0" else f"({text} + 1)")
        elif kind == "CXXBoolLiteralExpr":
            pass
        elif kind == "ReturnStmt" and inner:
            self.returns(node)
        elif kind in ("IfStmt", "WhileStmt", "ConditionalOperator") and inner:
            self.negate(inner[0])
        elif kind == "DoStmt":
            self.negate(inner[1])
        elif kind == "ForStmt" and inner[2].get("kind"):
            self.negate(inner[2])
        if kind == "CompoundStmt":
            bodies = inner
        elif kind == "IfStmt":
            bodies = inner[1:]
        elif kind in ("WhileStmt", "ForStmt", "CaseStmt", "DefaultStmt"):
            bodies = inner[-1:]
        else:
            bodies = []
        for each in bodies:
            self.statement(each)
        for each in inner:
            self.visit(each)


def find(path, flags):
    out = subprocess.run(["clang", "-Xclang", "-ast-dump=json", "-fsyntax-only", "-std=gnu11", "-w",
                          *flags, path], capture_output=True, check=True).stdout
    with open(path, "rb") as file:
        finder = Finder(file.read())
    for node in json.loads(out)["inner"]:
        loc = node.get("loc", {})
        if "includedFrom" in loc or "includedFrom" in loc.get("expansionLoc", {}):
            continue
        # true and false are macros, so that they are found here.
        finder.visit(node)
    for match in re.finditer(rb"\b(true|false)\b", re.sub(
            rb'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', lambda m: b" " * len(m[0]), finder.source,
            flags=re.S)):
        finder.add("constant", match.span(), "false" if match[0] == b"true" else "true")
    return finder.sites
