#!/usr/bin/env python3
"""Line coverage of src/ from what a build with --coverage left behind, by plain gcov.

    coverage.py BUILD_FOLDER SOURCE_FOLDER

A line counts once, however many programs it was compiled into: it is covered when any of them ran it. Lines that gcov does not
count (comments, declarations) do not count here either.
"""
import json
import os
import subprocess
import sys
from collections import defaultdict


def reports(build):
    """One report of gcov for each object that was compiled or ran."""
    for folder, _, names in os.walk(build):
        notes = [name for name in names if name.endswith('.gcno')]
        if not notes:
            continue
        output = subprocess.run(['gcov', '--json-format', '--stdout', *notes], cwd=folder, capture_output=True, text=True).stdout
        for line in output.splitlines():
            if line.startswith('{'):
                yield json.loads(line)


def collect(build, source):
    hits = defaultdict(dict)  # file -> line -> times
    for report in reports(build):
        for file in report['files']:
            path = os.path.normpath(os.path.join(report['current_working_directory'], file['file']))
            name = os.path.relpath(path, source)
            if not name.startswith(('src/', 'vendor-free/')):
                name = file['file'] if file['file'].startswith(('src/', 'vendor-free/')) else None
            if name is None or not name.endswith('.c'):
                continue
            lines = hits[name]
            for line in file['lines']:
                lines[line['line_number']] = lines.get(line['line_number'], 0) + line['count']
    return hits


def show(name, lines, covered):
    print(f'{name:<34} {covered:>6} of {lines:>6}  {100 * covered / lines:5.1f} %')


def main():
    build, source = sys.argv[1], os.path.abspath(sys.argv[2])
    hits = collect(build, source)
    if not hits:
        sys.exit('no figures: was the build made with --coverage, and did anything run?')
    folders = defaultdict(lambda: [0, 0])
    files = []
    for name, lines in hits.items():
        covered = sum(1 for count in lines.values() if count > 0)
        files.append((covered / len(lines) if lines else 1, name, len(lines), covered))
        folder = folders['/'.join(name.split('/')[:-1]) or '.']
        folder[0] += len(lines)
        folder[1] += covered
    print('the ten least covered files')
    for _, name, lines, covered in sorted(files)[:10]:
        show(name, lines, covered)
    print('\nby folder')
    for name, (lines, covered) in sorted(folders.items()):
        show(name, lines, covered)
    show('line coverage of the program', sum(f[0] for f in folders.values()), sum(f[1] for f in folders.values()))


main()
