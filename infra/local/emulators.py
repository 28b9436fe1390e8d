"""Finding what the local cloud needs from the machine: Java and Google's two emulators.

They are looked for where the Google Cloud SDK keeps them (beside `gcloud`, in CLOUDSDK_ROOT_DIR, in the usual
folders) and in the cache of firebase-tools. SCOUT_EMULATORS_PATH, a list of folders, replaces these places.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST_JAVA = 17
SDK_FOLDERS = (
    "/usr/lib/google-cloud-sdk",
    "/usr/share/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "/usr/local/google-cloud-sdk",
    "/snap/google-cloud-sdk/current",
    "/opt/homebrew/share/google-cloud-sdk",
    "~/google-cloud-sdk",
)
FIREBASE_CACHE = "~/.cache/firebase/emulators"
APT_PACKAGES = {
    "java": "openjdk-17-jre-headless",
    "firestore": "google-cloud-cli-firestore-emulator",
    "pubsub": "google-cloud-cli-pubsub-emulator",
}
COMPONENTS = {"firestore": "cloud-firestore-emulator", "pubsub": "pubsub-emulator"}
# C1 alone: the emulators start a second or two earlier and answer no slower.
JVM = ("-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
FIRESTORE_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
WHAT = {"java": f"Java {OLDEST_JAVA} or newer", "firestore": "the Firestore emulator", "pubsub": "the Pub/Sub emulator"}


@dataclass(frozen=True)
class Emulators:
    """Where Java and the two emulators are."""

    java: Path
    firestore: Path
    pubsub: Path

    def firestore_command(self, port: int, router_port: int, rules: Path | None = None) -> list[str]:
        """The Firestore emulator, sending its events to the router."""
        command = [str(self.java), *JVM, "-Xmx2g", "-Duser.language=en"]
        command += ["-cp", str(self.firestore), FIRESTORE_MAIN, "--host=127.0.0.1", f"--port={port}"]
        command += [f"--functions_emulator=127.0.0.1:{router_port}"]
        return [*command, f"--rules={rules}"] if rules else command

    def pubsub_command(self, port: int) -> list[str]:
        """The Pub/Sub emulator."""
        command = [str(self.java), *JVM, "-Xmx512m", "-jar", str(self.pubsub)]
        return [*command, "--host=127.0.0.1", f"--port={port}"]


class MissingPrerequisite(RuntimeError):
    """Something that the local cloud cannot bring itself. `command` installs it."""

    def __init__(self, missing: list[str], command: str) -> None:
        self.missing, self.command = missing, command
        super().__init__(f"missing: {', '.join(WHAT[part] for part in missing)}. Install with: {command}")


def find(environment: Mapping[str, str] | None = None) -> Emulators:
    """Find Java and both emulators. Raises MissingPrerequisite naming all that is missing and one command."""
    environment = os.environ if environment is None else environment
    roots = list(_roots(environment))
    java = find_java(environment)
    firestore = _newest(path for root in roots for path in _firestore_jars(root))
    pubsub = _newest(path for root in roots for path in _pubsub_jars(root))
    if java and firestore and pubsub:
        return Emulators(java, firestore, pubsub)
    found = {"java": java, "firestore": firestore, "pubsub": pubsub}
    missing = [part for part, path in found.items() if path is None]
    raise MissingPrerequisite(missing, install_command(missing, environment))


def find_java(environment: Mapping[str, str]) -> Path | None:
    """A Java that is new enough: JAVA_HOME's, else that of PATH."""
    home = environment.get("JAVA_HOME")
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    candidates = [Path(home) / "bin" / "java"] if home else []
    candidates += [Path(on_path)] if on_path else []
    return next((java for java in candidates if (java_version(java) or 0) >= OLDEST_JAVA), None)


def java_version(java: Path) -> int | None:
    """The major version, or None if it does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except OSError:
        return None
    match = re.search(r'version "(\d+)(?:\.(\d+))?', said)
    if match is None:
        return None
    return int(match[2] or 0) if match[1] == "1" else int(match[1])


def install_command(missing: list[str], environment: Mapping[str, str]) -> str:
    """The one command that installs what is missing here."""
    components = [COMPONENTS[part] for part in missing if part in COMPONENTS]
    gcloud = next((root / "bin" / "gcloud" for root in _sdk_roots(environment) if (root / "bin/gcloud").exists()), None)
    if not Path("/etc/debian_version").exists():
        wanted = ["brew install openjdk@17"] if "java" in missing else []
        wanted += [f"{gcloud or 'gcloud'} components install --quiet {' '.join(components)}"] if components else []
        return " && ".join(wanted)
    by_gcloud = bool(components) and gcloud is not None and not _managed_by_apt(gcloud.parent.parent)
    packages = [APT_PACKAGES[part] for part in missing if not (by_gcloud and part in COMPONENTS)]
    sudo = "" if os.geteuid() == 0 else "sudo "
    wanted = [f"{sudo}apt-get install -y {' '.join(packages)}"] if packages else []
    wanted += [f"{gcloud} components install --quiet {' '.join(components)}"] if by_gcloud else []
    return " && ".join(wanted)


def _roots(environment: Mapping[str, str]) -> Iterator[Path]:
    yield from _sdk_roots(environment)
    if "SCOUT_EMULATORS_PATH" not in environment:
        yield Path(FIREBASE_CACHE).expanduser()


def _sdk_roots(environment: Mapping[str, str]) -> Iterator[Path]:
    if "SCOUT_EMULATORS_PATH" in environment:
        yield from (Path(folder) for folder in environment["SCOUT_EMULATORS_PATH"].split(os.pathsep) if folder)
        return
    if environment.get("CLOUDSDK_ROOT_DIR"):
        yield Path(environment["CLOUDSDK_ROOT_DIR"])
    gcloud = shutil.which("gcloud", path=environment.get("PATH", ""))
    if gcloud:
        yield Path(gcloud).resolve().parent.parent
    yield from (Path(folder).expanduser() for folder in SDK_FOLDERS)


def _firestore_jars(root: Path) -> Iterator[Path]:
    yield from root.glob("platform/cloud-firestore-emulator/cloud-firestore-emulator*.jar")
    yield from root.glob("cloud-firestore-emulator-v*.jar")


def _pubsub_jars(root: Path) -> Iterator[Path]:
    yield from root.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar")
    yield from root.glob("pubsub-emulator*/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar")


def _newest(jars: Iterable[Path]) -> Path | None:
    """The first root wins; within it the highest version."""
    found = list(jars)
    if not found:
        return None
    return max((jar for jar in found if jar.parent == found[0].parent), key=lambda jar: jar.name)


def _managed_by_apt(root: Path) -> bool:
    return str(root).startswith("/usr/") or not os.access(root, os.W_OK)
