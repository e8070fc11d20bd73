"""Checks and unpacks the native libraries for scripts/bootstrap; needs nothing but Python's own library.

usage: native-libraries.py check   PINS FOLDER ARCHITECTURE            exit 0 if all are there, unaltered
       native-libraries.py install PINS FOLDER ARCHITECTURE WHEELS     unpack from the wheels in a folder
"""

import glob
import hashlib
import json
import os
import re
import sys
import sysconfig
import zipfile

# Which member of each wheel is wanted. Everything else in a wheel stays there.
MEMBERS = {
    "duckdb": r"_duckdb\.cpython-311-[^/]*\.so",
    "lightgbm": r"lightgbm/lib/lib_lightgbm\.so",
    "onnxruntime": r"onnxruntime/capi/libonnxruntime\.so\.\d[\d.]*",
}
LIBPYTHON = "libpython3.11.so.1.0"


def say(word, text, stream=sys.stdout):
    print(f"{word:<11} {text}", file=stream, flush=True)


def read_pins(path):
    """The pinned version and accepted hashes of each wheel, by its name."""
    text = open(path, encoding="utf-8").read().replace("\\\n", " ")
    pins = {}
    for line in text.splitlines():
        match = re.match(r"([a-z0-9_-]+)==(\S+)", line)
        if match:
            pins[match[1]] = (match[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    return pins


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_manifest(folder):
    try:
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            return {entry["name"]: entry for entry in json.load(file)["libraries"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def find_libpython(architecture):
    """Debian's package puts it into the system's folder; other Pythons 3.11 keep it beside their own libraries."""
    folders = [f"/usr/lib/{architecture}-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
    if sys.version_info[:2] == (3, 11):
        folders.append(sysconfig.get_config_var("LIBDIR") or "")
    for folder in folders:
        path = os.path.join(folder, LIBPYTHON)
        if folder and os.path.exists(path):
            return path
    return None


def problem_of(name, version, folder, entry, architecture):
    """What is wrong with an installed library; None if nothing is."""
    if entry is None or not os.path.isfile(os.path.join(folder, entry["file"])):
        return "not installed"
    if entry["version"] != version or entry.get("architecture") != architecture:
        return f"is version {entry['version']} for {entry.get('architecture')}, pinned is {version} for {architecture}"
    if sha256(os.path.join(folder, entry["file"])) != entry["sha256"]:
        return "its file is not the one that was installed"
    return None


def check(pins, folder, architecture):
    entries = read_manifest(folder)
    complete = True
    for name, (version, _) in pins.items():
        problem = problem_of(name, version, folder, entries.get(name), architecture)
        if problem is None:
            say("present", f"{name} {version} ({entries[name]['file']})")
        else:
            say("missing", f"{name} {version}: {problem}")
            complete = False
    link = os.path.join(folder, LIBPYTHON)
    if os.path.exists(link):
        say("present", f"libpython 3.11 ({os.path.realpath(link)})")
    else:
        say("missing", "libpython 3.11: not linked")
        complete = False
    return complete


def install_wheel(name, version, hashes, folder, architecture, wheels):
    """Unpacks one library; returns its entry for the manifest, or None after saying what failed."""
    found = glob.glob(os.path.join(wheels, f"{name}-{version}-*.whl"))
    if not found:
        return None  # the fetch has said why
    wheel_hash = sha256(found[0])
    if wheel_hash not in hashes:
        say("MISSING", f"{name} {version}: the wheel's SHA-256 is {wheel_hash}, which is not pinned", sys.stderr)
        return None
    with zipfile.ZipFile(found[0]) as wheel:
        members = [m for m in wheel.namelist() if re.fullmatch(MEMBERS[name], m)]
        if len(members) != 1:
            say("MISSING", f"{name} {version}: the wheel holds {len(members)} libraries of that name", sys.stderr)
            return None
        file = os.path.basename(members[0])
        partial = os.path.join(wheels, file)
        with wheel.open(members[0]) as source, open(partial, "wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
    os.chmod(partial, 0o755)
    entry = {
        "name": name, "version": version, "architecture": architecture, "file": file,
        "bytes": os.path.getsize(partial), "sha256": sha256(partial), "wheel_sha256": wheel_hash,
    }
    # A rename, so that a running server keeps the file that it has open.
    os.replace(partial, os.path.join(folder, file))
    say("installed", f"{name} {version} ({file}, {entry['bytes'] // 1_000_000} MB)")
    return entry


def install(pins, folder, architecture, wheels):
    before = read_manifest(folder)
    entries, complete = [], True
    for name, (version, hashes) in pins.items():
        entry = install_wheel(name, version, hashes, folder, architecture, wheels)
        if entry is None:
            complete = False
            # What could not be fetched again may still be here from before.
            if problem_of(name, version, folder, before.get(name), architecture) is None:
                entries.append(before[name])
            continue
        entries.append(entry)
        old = before.get(name, {}).get("file")
        if old and old != entry["file"] and os.path.basename(old) == old:
            if os.path.exists(os.path.join(folder, old)):
                os.unlink(os.path.join(folder, old))
    libpython = find_libpython(architecture)
    if libpython is None:
        say("MISSING", "libpython 3.11 (DuckDB needs it): install Debian's package libpython3.11", sys.stderr)
        complete = False
    else:
        link = os.path.join(folder, LIBPYTHON)
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(libpython, link)
        say("installed", f"libpython 3.11 (link to {libpython})")
    partial = os.path.join(wheels, "manifest.json")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump({"architecture": architecture, "libraries": entries}, file, indent=2)
        file.write("\n")
    os.replace(partial, os.path.join(folder, "manifest.json"))
    return complete


def main(arguments):
    if len(arguments) < 4 or arguments[0] not in ("check", "install"):
        print(__doc__, file=sys.stderr)
        return 64
    pins, folder, architecture = read_pins(arguments[1]), arguments[2], arguments[3]
    if arguments[0] == "check":
        return 0 if check(pins, folder, architecture) else 1
    return 0 if install(pins, folder, architecture, arguments[4]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
