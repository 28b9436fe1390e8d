"""Finding Java and the emulators, and what is said where they are missing."""

from pathlib import Path

import pytest

from infra.local.emulators import MissingPrerequisite, find, java_version


def java(folder: Path, said: str) -> Path:
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    binary.chmod(0o755)
    return binary


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.fixture
def sdk(tmp_path):
    root = tmp_path / "sdk"
    touch(root / "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
    touch(root / "platform/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.20-all.jar")
    return root


@pytest.fixture
def good_java(tmp_path):
    return java(tmp_path / "jdk", 'openjdk version "17.0.15" 2025-04-15')


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("nonsense", None),
    ],
)
def test_the_version_of_java_is_read(tmp_path, said, version):
    assert java_version(java(tmp_path, said)) == version


def test_everything_is_found_beside_gcloud_and_in_java_home(tmp_path, sdk, good_java):
    link = tmp_path / "path" / "gcloud"
    link.parent.mkdir()
    link.symlink_to(touch(sdk / "bin" / "gcloud"))
    link.resolve().chmod(0o755)
    found = find({"PATH": str(link.parent), "JAVA_HOME": str(good_java.parent.parent)})
    assert found.java == good_java
    assert found.firestore.is_relative_to(sdk)
    assert found.pubsub.is_relative_to(sdk)


def test_the_newest_of_firebase_tools_jars_is_taken(tmp_path, good_java):
    for version in ("1.18.2", "1.19.8"):
        touch(tmp_path / "cache" / f"cloud-firestore-emulator-v{version}.jar")
    touch(tmp_path / "cache/pubsub-emulator-0.8.14/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.14-all.jar")
    found = find({"PATH": str(good_java.parent), "SCOUT_EMULATORS_PATH": str(tmp_path / "cache")})
    assert found.firestore.name == "cloud-firestore-emulator-v1.19.8.jar"
    assert found.pubsub.name == "cloud-pubsub-emulator-0.8.14-all.jar"


def test_an_emptied_path_means_that_java_is_missing(sdk):
    with pytest.raises(MissingPrerequisite) as raised:
        find({"PATH": "", "SCOUT_EMULATORS_PATH": str(sdk)})
    assert raised.value.missing == ["java"]
    assert raised.value.command in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_old_java_does_not_count(tmp_path, sdk):
    old = java(tmp_path / "old", 'openjdk version "11.0.2" 2019-01-15')
    with pytest.raises(MissingPrerequisite, match="Java 17"):
        find({"PATH": str(old.parent), "SCOUT_EMULATORS_PATH": str(sdk)})


def test_all_that_is_missing_is_installed_by_one_command(tmp_path):
    with pytest.raises(MissingPrerequisite) as raised:
        find({"PATH": "", "SCOUT_EMULATORS_PATH": str(tmp_path)})
    assert raised.value.missing == ["java", "firestore", "pubsub"]
    assert "openjdk" in raised.value.command
    assert "firestore-emulator" in raised.value.command
    assert "pubsub-emulator" in raised.value.command


def test_a_sdk_of_ones_own_installs_its_components_itself(tmp_path, good_java):
    root = tmp_path / "own-sdk"
    touch(root / "bin" / "gcloud")
    with pytest.raises(MissingPrerequisite) as raised:
        find({"PATH": str(good_java.parent), "SCOUT_EMULATORS_PATH": str(root)})
    expected = f"{root}/bin/gcloud components install --quiet cloud-firestore-emulator pubsub-emulator"
    assert raised.value.command == expected
