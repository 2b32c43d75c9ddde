#!/usr/bin/env python3
"""The vector store beside other libraries, on the same vectors, in one run:

    memory_vector.py PROGRAM [--vec0 vec0.so] [--spaces] [--count N] [--rounds N]

PROGRAM is memory_vector, built with -DTROUPE_BENCH=ON. sqlite-vec comes from npm (`npm install sqlite-vec`; its package for this
platform has vec0.so), faiss from Debian (python3-faiss, python3-numpy). What is not there is left out. Everything runs on one core, and
takes turns: the store, then the others, `rounds` times; figures are medians. Prints JSON lines, the last with the ratios.
"""
import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

DIMS, QUESTIONS, BEST, EACH, ASKED = 384, 100, 10, 2000, 30
USUAL = ("as usual", "one space of many")  # of the lines that the program prints


def read_dump(path, count):
    with open(path, "rb") as file:
        vectors = numpy.fromfile(file, numpy.float32, count * DIMS).reshape(count, DIMS)
        questions = numpy.fromfile(file, numpy.float32, QUESTIONS * DIMS).reshape(QUESTIONS, DIMS)
        best = numpy.fromfile(file, numpy.int64, QUESTIONS * BEST).reshape(QUESTIONS, BEST)
    return vectors, questions, best


def sqlite_vec(library, vectors, space, folder):
    """A table with float vectors by space, as its guide shows."""
    db = sqlite3.connect(os.path.join(folder, "vec.db"))
    db.enable_load_extension(True)
    db.load_extension(library)
    db.execute(f"CREATE VIRTUAL TABLE item USING vec0(space INTEGER PARTITION KEY, embedding FLOAT[{DIMS}] distance_metric=cosine)")
    rows = ((i + 1, i // EACH if space is not None else 0, vector.tobytes()) for i, vector in enumerate(vectors))
    db.executemany("INSERT INTO item (rowid, space, embedding) VALUES (?, ?, ?)", rows)
    db.commit()
    sql = "SELECT rowid FROM item WHERE embedding MATCH ? AND k = ? AND space = ? ORDER BY distance"
    return lambda question: [row[0] for row in db.execute(sql, (question.tobytes(), BEST, space or 0))]


def faiss_flat(faiss, vectors, space):
    index = faiss.IndexFlatIP(DIMS)
    index.add(vectors)
    return lambda question: index.search(question.reshape(1, -1), BEST)[1][0] + 1


def faiss_hnsw(faiss, vectors, space, questions, best):
    """A graph over everything. With a filter only vectors of the space count, so the search must be wider: as wide as it takes to find
    nine in ten of the best."""
    index = faiss.IndexHNSWFlat(DIMS, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 40
    index.add(vectors)
    chosen = faiss.IDSelectorRange(space * EACH, (space + 1) * EACH) if space is not None else None

    def asker(width):
        parameters = faiss.SearchParametersHNSW()
        parameters.efSearch = index.hnsw.efSearch = width  # faiss 1.7.3 looks at both
        if chosen:
            parameters.sel = chosen
        return lambda question: index.search(question.reshape(1, -1), BEST, params=parameters)[1][0] + 1

    width = 64
    while width < len(vectors) and measure(asker(width), questions, best)[1] < 0.9:
        width *= 2
    return asker(width)


def measure(ask, questions, best):
    times, found = [], 0
    for i in range(ASKED):
        began = time.perf_counter()
        got = ask(questions[i])
        times.append((time.perf_counter() - began) * 1000)
        found += len(set(map(int, got)) & set(best[i].tolist()))
    return statistics.median(times), found / (ASKED * BEST)


def contenders(options, vectors, questions, best, space, folder):
    made = {}
    if options.vec0:
        made["sqlite-vec"] = lambda: sqlite_vec(options.vec0, vectors, space, folder)
    try:
        import faiss
        faiss.omp_set_num_threads(1)
        if space is None:
            made["faiss flat"] = lambda: faiss_flat(faiss, vectors, space)
        made["faiss hnsw" if space is None else "faiss hnsw, filtered"] = lambda: faiss_hnsw(faiss, vectors, space, questions, best)
    except ImportError:
        pass
    return made


def ours(options, arguments, folder):
    command = [options.program, "--folder", folder, *arguments]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def run(options, folder):
    count = options.count
    arguments = ["--spaces", str(count // EACH)] if options.spaces else ["--count", str(count)]
    space = count // EACH // 2 if options.spaces else None
    dump = os.path.join(folder, "dump")
    figures = {"troupe": [(line["p50_ms"], line["recall"]) for line in ours(options, [*arguments, "--dump", dump], folder) if line["work"] in USUAL]}
    vectors, questions, best = read_dump(dump, count)
    asks = {}
    for name, make in contenders(options, vectors, questions, best, space, folder).items():
        began = time.perf_counter()
        asks[name] = make()
        print(json.dumps({"who": name, "built_s": round(time.perf_counter() - began, 2)}), flush=True)
    for _ in range(options.rounds):
        for name, ask in asks.items():
            figures.setdefault(name, []).append(measure(ask, questions, best))
        figures["troupe"] += [(line["p50_ms"], line["recall"]) for line in ours(options, arguments, folder) if line["work"] in USUAL]
    return {name: {"p50_ms": round(statistics.median(p50 for p50, _ in list_), 4), "recall": round(list_[0][1], 4)}
            for name, list_ in figures.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--vec0")
    parser.add_argument("--spaces", action="store_true", help="search one space of 2,000 among them")
    parser.add_argument("--count", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(options, folder)
    for name, figure in figures.items():
        print(json.dumps({"who": name, **figure}))
    ratios = {name: round(figure["p50_ms"] / figures["troupe"]["p50_ms"], 1) for name, figure in figures.items() if name != "troupe"}
    print(json.dumps({"work": "2,000 of %d" % options.count if options.spaces else "%d" % options.count, "times_as_fast_as": ratios}))


if __name__ == "__main__":
    sys.exit(main())
