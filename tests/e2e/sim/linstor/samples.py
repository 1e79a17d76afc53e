"""Reads the recorded exchanges in testdata/samples."""

import json
import pathlib
import re

SAMPLES = pathlib.Path(__file__).parent / "testdata" / "samples"


class Exchange:
    def __init__(self, method, path, line):
        self.method, self.path, self.line = method, path, line
        self.body = None  # raw text
        self.status = None
        self.headers = {}
        self.reply = None  # parsed JSON, or None

    def __repr__(self):
        return f"{self.method} {self.path} (line {self.line})"


def read(name):
    """The exchanges of one sample file, in order."""
    lines = (SAMPLES / name).read_text(encoding="utf-8").split("\n")
    out = []
    i = 0
    while i < len(lines):
        line = lines[i]
        start = re.match(r">>> (GET|POST|PUT|DELETE|PATCH) (\S+)", line)
        if start:
            out.append(Exchange(start[1], start[2], i + 1))
        elif out and line.startswith(">>> body: "):
            out[-1].body = line[len(">>> body: "):]
        elif out and (status := re.match(r"<<< (\d{3}) time_total", line)):
            out[-1].status = int(status[1])
        elif out and (header := re.match(r"<<< ([A-Za-z-]+): (.*)", line)):
            out[-1].headers[header[1]] = header[2]
        elif out and out[-1].reply is None and line in ("{", "[", "{}", "[]"):
            end = i if line in ("{}", "[]") else i + lines[i:].index({"{": "}", "[": "]"}[line])
            out[-1].reply = json.loads("\n".join(lines[i:end + 1]))
            i = end
        i += 1
    return [exchange for exchange in out if exchange.status is not None]


def res_files(name):
    """(node, resource, text) of the .res files shown in a sample file."""
    text = (SAMPLES / name).read_text(encoding="utf-8")
    found = re.findall(r"--- (\w+):/var/lib/linstor\.d/(\w+)\.res\n(.*?\n)---\n", text, re.S)
    return [(node, resource, content) for node, resource, content in found]


class Section:
    """What was recorded under one heading: requests, and the tools that ran on the nodes after them."""

    def __init__(self, title):
        self.title, self.exchanges, self.calls = title, [], []  # calls: (node, exit code, command)


def sections(name):
    """The parts of one sample file, in order; what comes before the first heading has the title ""."""
    lines = (SAMPLES / name).read_text(encoding="utf-8").split("\n")
    exchanges = {exchange.line: exchange for exchange in read(name)}
    out = [Section("")]
    for number, line in enumerate(lines, 1):
        if line.startswith("##### "):
            out.append(Section(line[len("##### "):]))
        elif number in exchanges:
            out[-1].exchanges.append(exchanges[number])
        elif call := re.match(r"[\d:.]+\t(\w+)\tpid=\d+\trc=(\w+)\t\d+ms\t(.*?)(\t# .*)?$", line):
            out[-1].calls.append((call[1], call[2], call[3]))
    return out
