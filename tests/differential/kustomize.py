#!/usr/bin/env python3
"""Applies some hundred patches with the operator and with `kubectl kustomize`: 0 differences, but for those that are meant.

Each case is a set of objects and patches for them, made by hand or generated (cases.py). Either both refuse it, or both make the
same objects of it, to the order of every list. Many cases are one kustomization, each with a namespace of its own, because a
process of kubectl costs more than a case; what is refused has one to itself.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

import cases
import go_yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH = 50
# Where the two differ and are meant to: a part of the patch by which one case made by hand is known, and why.
NAMELESS = "an element without its key: kustomize leaves out the whole list, here it is added and the API server says what it lacks"
REPLACE = "$patch: replace in an element or a whole object: kustomize 5.8 changes nothing at all, here it replaces, as its documentation says"
DIRECTIVE = "a directive in a list without keys: kustomize writes it into the object, here it is obeyed"
PORT = "a port without its protocol or number: kustomize drops it without a word, here it is merged by what it has"
NAMESPACE = "a namespace in a patch without target is not compared: all objects of a component come into one, after the patches"
MEANT = {
    "{name: app, $patch: replace, image: only}": REPLACE, "{name: B, $patch: replace, value: r}": REPLACE,
    "{name: data, $patch: replace, hostPath": REPLACE, "$patch: replace\nspec: {replicas: 9}": REPLACE, "$patch: replace\nspec: {a: b}": REPLACE,
    "{image: nameless}": NAMELESS, "containers: [[a]]": NAMELESS, "containers: [a]": NAMELESS, "containers: [null]": NAMELESS,
    "{name: null, image: x}": NAMELESS,
    "ports: [{containerPort: 80, name: web}]": PORT, "ports: [{name: http, targetPort: 1}]": PORT,
    "keystores: [{name: x, $patch: delete}]": DIRECTIVE, "keystores: [{$patch: replace}": DIRECTIVE,
    "metadata: {name: api}\nspec: {replicas: 1}": NAMESPACE, "metadata: {name: web, namespace: other}": NAMESPACE,
    "b: 2001-12-14t21:59:43.10-05:00": "a date stays the text that somebody wrote; kustomize makes a time of it",
    "spec: {a: .inf, b: -.INF}": "JSON has no infinity: kustomize refuses it, here it is a text",
    "spec: {yes: 1, on: 2, 0x10: 3, 1_0: 4}": "keys that are no texts: kustomize refuses them, here they are texts",
    "spec: {a: 1, a: 2}": "a key that is there twice: the last one counts here, the first one there",
    '"a": "\\u00e9\\/"': "JSON with an escaped slash: kustomize reads it as YAML and refuses",
    "name: keys}\ntype: x": "two documents in one patch: the definition of LinstorCluster says one",
    "\r\n    x": "carriage returns: kustomize loses the last line break of the block",
    "  apiVersion: apps/v1\n  kind": "an indented document: kustomize takes away the indentation of its first line only",
    "path: spec/x": "a path without a slash in front: kustomize drops its first part and writes elsewhere",
    "value: 12345678901234567890": "numbers above 2^53: kustomize rounds them",
    "somethingElse": "unknown options: up to v2.6 of the Piraeus Operator `options` was a free map",
}
FLOW = "[{op: add, path: /spec/replicas, value: 5}]"  # kustomize reads what begins with a bracket as JSON; here flow YAML is taken too


def meant(test):
    """Why the two may differ in this case, or nothing."""
    if test["name"].startswith("generated"):
        return ""
    if [patch["patch"] for patch in test["patches"]] == [FLOW]:
        return "operations in flow style: kustomize takes them for JSON"
    if test["name"] == "whole: two documents, target":
        return ""  # refused by both
    text = json.dumps(test["patches"][0], ensure_ascii=False)
    return next((why for part, why in MEANT.items() if json.dumps(part, ensure_ascii=False)[1:-1] in text), "")


def operator(binary, tests):
    done = subprocess.run([binary], input=json.dumps(tests), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


class Kustomize:
    def __init__(self, kubectl, folder):
        self.kubectl, self.folder, self.runs = kubectl, pathlib.Path(folder), 0

    def run(self, tests):
        """{namespace: objects}, or what kustomize said when it refused."""
        self.runs += 1
        top = self.folder / f"run{self.runs}"
        for test in tests:
            folder = top / test["namespace"]
            folder.mkdir(parents=True)
            (folder / "resources.yaml").write_text(test["resources"])
            (folder / "kustomization.yaml").write_text(json.dumps({
                "resources": ["resources.yaml"], "patches": test["patches"], "namespace": test["namespace"]}, ensure_ascii=False))
        (top / "kustomization.yaml").write_text(json.dumps({"resources": [test["namespace"] for test in tests]}))
        done = subprocess.run([self.kubectl, "kustomize", str(top)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            return done.stderr.strip()
        found = {test["namespace"]: [] for test in tests}
        for item in go_yaml.load_all(done.stdout):
            if item is not None:
                found[owner(item)].append(item)
        return found

    def all(self, tests):
        """{namespace: objects or an error}; halves what is refused until it is one case."""
        if not tests:
            return {}
        answer = self.run(tests)
        if isinstance(answer, dict):
            return answer
        if len(tests) == 1:
            return {tests[0]["namespace"]: answer}
        half = len(tests) // 2
        return {**self.all(tests[:half]), **self.all(tests[half:])}


def owner(item):
    """The case that an object is of: objects without a namespace have it in their name."""
    metadata = item["metadata"]
    return metadata.get("namespace") or metadata["name"].rsplit("-", 1)[1]


def identity(item):
    metadata = item.get("metadata", {})
    return (item.get("apiVersion"), item.get("kind"), metadata.get("namespace", ""), metadata.get("name"))


def first_difference(ours, theirs, path=""):
    """Where two values differ first, in words; nothing when they do not. 1 and true are two things."""
    if type(ours) is not type(theirs) and not {type(ours), type(theirs)} <= {int, float}:
        return f"{path or '/'}: {short(ours)} here, {short(theirs)} there"
    if isinstance(ours, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key not in ours or key not in theirs:
                return f"{path}/{key}: {'only here: ' + short(ours[key]) if key in ours else 'only there: ' + short(theirs[key])}"
            if found := first_difference(ours[key], theirs[key], f"{path}/{key}"):
                return found
        return ""
    if isinstance(ours, list):
        for number, (a, b) in enumerate(zip(ours, theirs)):
            if found := first_difference(a, b, f"{path}/{number}"):
                return found
        return "" if len(ours) == len(theirs) else f"{path}: {len(ours)} elements here, {len(theirs)} there"
    return "" if ours == theirs else f"{path or '/'}: {short(ours)} here, {short(theirs)} there"


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 200 else text[:200] + "…"


def compare(ours, theirs):
    """What is different, in words; "" when nothing is."""
    if "error" in ours or isinstance(theirs, str):
        if "error" in ours and isinstance(theirs, str):
            return ""
        return f"only here refused: {ours['error'][:200]}" if "error" in ours else f"only there refused: {theirs[-300:]}"
    here = {identity(item): item for item in ours["objects"]}
    there = {identity(item): item for item in theirs}
    if here.keys() != there.keys():
        return f"objects only here: {sorted(map(str, here.keys() - there.keys()))}, only there: {sorted(map(str, there.keys() - here.keys()))}"
    for key, item in here.items():
        if found := first_difference(item, there[key]):
            return f"{key[1]} {key[3]}{found}"
    return ""


def compare_all(binary, kubectl, tests):
    """[(case, what differs)] and how often kubectl ran."""
    ours = operator(binary, tests)
    alone = [test for test, answer in zip(tests, ours) if "error" in answer or meant(test)]
    taken = [test for test, answer in zip(tests, ours) if "error" not in answer and not meant(test)]
    jobs = [[test] for test in alone] + [taken[i:i + BATCH] for i in range(0, len(taken), BATCH)]
    theirs, runs = {}, 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        def work(number, job):
            kustomize = Kustomize(kubectl, pathlib.Path(folder) / f"job{number}")
            return kustomize.all(job), kustomize.runs
        for answer, count in pool.map(work, range(len(jobs)), jobs):
            theirs.update(answer)
            runs += count
    return [(test, compare(answer, theirs[test["namespace"]])) for test, answer in zip(tests, ours)], runs, sum("error" in answer for answer in ours)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generated", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the names of cases to compare")
    parser.add_argument("--binary", default=os.environ.get("BREAKWATER_BIN_DIR", str(ROOT / "build/release/bin")) + "/breakwater-patches")
    parser.add_argument("--junit", type=pathlib.Path)
    arguments = parser.parse_args()
    begun = time.monotonic()
    tools = subprocess.run([str(ROOT / "scripts/tools.sh"), "--print-dir"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    tests = [test for test in cases.hand_made() + cases.generated(arguments.generated, arguments.seed) if arguments.only in test["name"]]
    for number, test in enumerate(tests):
        test["namespace"] = f"c{number}"
        test["resources"] = test["resources"].replace("@ID@", test["namespace"])
        for patch in test["patches"]:
            patch["patch"] = patch["patch"].replace("@ID@", test["namespace"])
    results, runs, refused = compare_all(arguments.binary, pathlib.Path(tools) / "kubectl", tests)
    failures = []
    for test, difference in results:
        why = meant(test)
        if bool(difference) != bool(why):
            failures.append((test["name"], difference or f"no difference any more, though one is meant: {why}"))
    suite = ElementTree.Element("testsuite", name="patches")
    for test, _ in results:
        ElementTree.SubElement(suite, "testcase", classname="patches", name=test["name"])
    for name, why in failures:
        print(f"FAILED {name}: {why}")
        element = next(e for e in suite if e.get("name") == name)
        ElementTree.SubElement(element, "failure", message=why)
    if arguments.junit:
        ElementTree.ElementTree(suite).write(arguments.junit)
    patches = sum(len(test["patches"]) for test in tests)
    print(f"{patches} patches in {len(tests)} cases, {refused} of them refused, against kubectl kustomize ({runs} runs, "
          f"{time.monotonic() - begun:.0f} s): {len(failures)} differences, {sum(bool(meant(test)) for test, _ in results)} meant")
    return 1 if failures or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
