"""``python -m fuzz [TARGET…] [--seconds N]``: atheris over each target in turn, from the seeds on; see ``bin/fuzz``.

What crashes a target is written to ``fuzz/corpus/TARGET/``, where the tests find it. Exit status 1 where anything did.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

SECONDS = 10.0
"""Of the processor's time that one input may take. Where other programs have the processor, it is no fault to wait."""


def main() -> int:
    if sys.argv[1:2] == ["--inside"]:
        fuzz(sys.argv[2], sys.argv[3:])
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all of them")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"got the targets {sorted(unknown)}, want some of {', '.join(TARGETS)}")
    failed = [target for target in options.targets or TARGETS if not survives(target, options.seconds)]
    for target in failed:
        sys.stderr.write(f"fuzz: {target}: got a crash, want none: see {CORPUS / target}\n")
    return 1 if failed else 0


def survives(target: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own."""
    from fuzz.seeds import seeds

    found = CORPUS / target
    with tempfile.TemporaryDirectory() as work:
        for number, data in enumerate(seeds(target)):
            Path(work, f"{number}").write_bytes(data)
        found.mkdir(parents=True, exist_ok=True)
        flags = [
            f"-max_total_time={seconds}",
            "-max_len=20000",
            "-timeout=3600",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={found}/",
        ]
        done = subprocess.run([sys.executable, "-m", "fuzz", "--inside", target, work, *flags], check=False)
    if not any(found.iterdir()):
        shutil.rmtree(found)
    return done.returncode == 0


def fuzz(target: str, arguments: list[str]) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["converter", "json"]):
        from fuzz.targets import run

    def once(data: bytes) -> None:
        started = time.process_time()
        run(target, data)
        if (took := time.process_time() - started) > SECONDS:
            raise TimeoutError(f"got {took:.1f} s, want at most {SECONDS:.0f}")

    atheris.Setup([sys.argv[0], *arguments], once)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
