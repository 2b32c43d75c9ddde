#!/usr/bin/env python3
"""The house's plan, held by a script: what may include what, where SQL may stand, what every file begins with, and that
the documents name things that exist. Prints the offenders, one a line; exit status 1 if there are any.
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
offenders = []

def offend(path, why):
    offenders.append(f"{path.relative_to(ROOT) if isinstance(path, pathlib.Path) else path}: {why}")

def files(folder, *endings):
    return sorted(p for p in (ROOT / folder).rglob("*") if p.name.endswith(endings) and "node_modules" not in p.parts)

# --- floors: an include points down or into its own folder; a library has one home ----------------

FLOORS = ("base", "loop", "net fetch store", "account model", "safety economy", "lore memory media", "character",
          "conversation", "studio admin person", ".")
RANK = {folder: rank for rank, row in enumerate(FLOORS) for folder in row.split()}
HOMES = {"uv.h": "loop net fetch", "sqlite3.h": "store", "lmdb.h": "store", "curl/": "fetch", "llhttp.h": "net",
         "wslay/": "net", "cjson/": "base", "mbedtls/": "base net", "argon2.h": "base", "pcre2.h": "base",
         "utf8proc.h": "base", "ini.h": "base"}
PORTS = set("store/blob.h fetch/mail.h model/chat.h model/embed.h safety/classifier.h economy/payment.h media/speech.h "
            "media/picture.h studio/outlet.h".split())
SIDE_DOORS = ("_store.h", "_api.h")  # of a feature's own files, and of app.c, which lists the tables
C_FILES = files("src", ".c", ".h") + files("vendor-free", ".c", ".h")

def folder_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[0] if parts[0] == "vendor-free" else parts[1] if len(parts) > 2 else "."

def may_include(folder, name):
    target = name.split("/")[0] if "/" in name else "."
    if folder == "vendor-free":
        return target in ("base", "loop", "vendor-free") or name in PORTS or "/" not in name
    is_below = RANK.get(target, 99) < RANK.get(folder, -1)
    return target == folder or (is_below and (folder == "." or not name.endswith(SIDE_DOORS)))

def check_includes(path, text):
    folder = folder_of(path)
    for mark, name in re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)', text, re.M):
        if mark == "<":
            homes = [dirs for library, dirs in HOMES.items() if name.startswith(library)]
            if any(folder not in dirs.split() for dirs in homes):
                offend(path, f"<{name}> has its home in {homes[0]}")
        elif not may_include(folder, name):
            offend(path, f'"{name}" is not below this folder')

# --- SQL: literals inside DB_SQL, in *_store.c and in store/ --------------------------------------

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.S)
SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|CREATE|ALTER|DROP|PRAGMA|BEGIN|ATTACH) +[\w(*\"]")
# Pragmas, transactions and query plans of the house itself.
SCRIPTS = {f"src/store/{name}.c" for name in ("db", "writer", "wal", "snapshot", "migrate", "inspect", "word_counts")}

def literals(text):
    """Adjacent string literals as one (offset, text), also over the lines of a macro; comments do not count."""
    found, last_end = [], None
    for token in TOKEN.finditer(text):
        if token[0].startswith('"'):
            if found and last_end is not None and text[last_end:token.start()].strip(" \t\n\\") == "":
                found[-1] = (found[-1][0], found[-1][1] + token[0][1:-1])
            else:
                found.append((token.start(), token[0][1:-1]))
            last_end = token.end()
    return found

def check_sql(path, text):
    name = str(path.relative_to(ROOT))
    for offset, literal in literals(text):
        line = text.count("\n", 0, offset) + 1
        is_bound = re.search(r"\bDB_SQL\(\s*[^;\"]*,\s*$", text[:offset]) is not None
        if is_bound and not (name.endswith("_store.c") or name.startswith("src/store/")):
            offend(f"{name}:{line}", "SQL stands outside of *_store.c")
        if is_bound and re.search(r"%[-0-9.*l]*[sdiuzx]\b(?!')", literal):
            offend(f"{name}:{line}", "SQL that looks like a format: values are bound")
        if not is_bound and SQL.match(literal) and name not in SCRIPTS:
            offend(f"{name}:{line}", "SQL outside of DB_SQL")
    for call in re.findall(r"\bsqlite3_(?:v?mprintf|v?snprintf|get_table)\b", text) if name not in SCRIPTS else ():
        offend(path, f"{call} builds SQL")

# --- what every file is like ----------------------------------------------------------------------

UNFINISHED = re.compile(r"\b(TODO(?!\(\d+\))|FIXME|XXX)\b|\bnot yet implemented\b|\blorem ipsum\b", re.I)

def check_words(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            offend(f"{path.relative_to(ROOT)}:{number}", f"unfinished: {line.strip()[:60]}")

def check_essay(path, text):
    if path.suffix == ".c" and not re.match(r"/\*.{30,}?\*/", text, re.S):
        offend(path, "does not begin with what it is for")

# What banned.h takes away must have been declared before, or it comes back under the other name: with _FORTIFY_SOURCE
# the headers of libc define these functions inline.
BANS_NOTHING = re.compile(r"vendor-free/embedder_kernel")  # loops over numbers: no function of libc is called

def check_ban(path, text):
    included = re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)', text, re.M)
    if path.suffix == ".c" and not BANS_NOTHING.search(str(path)) and included[-1:] != ["base/banned.h"]:
        offend(path, 'does not include "base/banned.h" last')

# --- the web app: lib < api < state < parts < chat, admin ... < pages < App -----------------------

# Any other folder is a feature, 4; setting up shows forms of others.
WEB_RANK = {"styles": -1, "lib": 0, "api": 1, "state": 2, "parts": 3, "setup": 4.5, "pages": 5, ".": 6}
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*['"](\.[^'"]+)['"]""")

def check_web_file(path):
    source = ROOT / "assets/web/src"
    folder = path.relative_to(source).parts[0] if path.parent != source else "."
    for name in IMPORT.findall(path.read_text()):
        whole = (path.parent / name).resolve()
        if whole.is_relative_to(ROOT / "assets/locales"):  # sentences: data, below everything
            continue
        target_path = whole.relative_to(source)
        target = target_path.parts[0] if len(target_path.parts) > 1 else "."
        mine, theirs = WEB_RANK.get(folder, 4), WEB_RANK.get(target, 4)
        if target != folder and (theirs >= mine or (folder == "parts" and target not in ("lib", "styles"))):
            offend(path, f"'{name}' is not below {folder}")

# --- the documents --------------------------------------------------------------------------------

def check_promises():
    path = ROOT / "docs/promises.md"
    named = re.findall(r"`((?:assets/web/)?tests/[^`:]+): ([^`]+)`", path.read_text()) if path.exists() else []
    for file, test in named or [("docs/promises.md", "that names tests")]:
        if not (ROOT / file).is_file() or test.strip() not in (ROOT / file).read_text():
            offend("docs/promises.md", f"{file} has no test '{test.strip()}'")

def check_dependencies():
    path = ROOT / "docs/dependencies.md"
    listed = set(re.findall(r"`([^`\s]+)`", path.read_text())) if path.exists() else set()
    cmake = (ROOT / "CMakeLists.txt").read_text()
    used = {name for row in re.findall(r"IMPORTED_TARGET ([^)]+)\)", cmake) for name in row.split()}
    used |= set(re.findall(r"find_library\(\w+ (\w+)", cmake))
    for package in ("assets/web/package.json", "tests/package.json", "tests/bench/peers/package.json"):
        manifest = json.loads((ROOT / package).read_text()) if (ROOT / package).exists() else {}
        used |= {name for kind in ("dependencies", "devDependencies") for name in manifest.get(kind, {})}
    for name in sorted(used - listed):
        offend("docs/dependencies.md", f"`{name}` is used and not listed with its reason")

for file in C_FILES:
    for check in (check_includes, check_sql, check_essay, check_ban):
        check(file, file.read_text())
for file in files("assets/web/src", ".ts", ".svelte"):
    check_web_file(file)
for file in C_FILES + files("assets/web/src", ".ts", ".svelte", ".css") + files("tests", ".c", ".h", ".js"):
    check_words(file, file.read_text())
check_promises()
check_dependencies()
print("\n".join(offenders) if offenders else "structure: as planned")
sys.exit(bool(offenders))
