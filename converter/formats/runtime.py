"""Input for runtimes: a root file system, alone or with a ``config.json`` (image-spec 1.1.1, conversion.md).

It is written and never read: a bundle does not say which image it came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from converter.errors import Unsupported
from converter.formats.accounts import Accounts, note_accounts, process_user
from converter.model import media_types as types
from converter.model.content import NONE, Derived, LayerFacts, Open, Replaced
from converter.model.document import dump_json
from converter.model.frozen import frozen
from converter.model.image import Image, Item, Loss, RunConfig, losses_elsewhere, single_image
from converter.model.settings import DEFAULTS, Settings
from converter.plan import Made, Make, Node, Write
from converter.streams.blocks import Block, join_blocks
from converter.streams.squash import Flatten, squash
from converter.streams.tar.fields import END

name = "runtime"
single_file_name = "a root file system"

_QUIET = ("nosuid", "noexec", "nodev")
MOUNTS = (
    ("/proc", "proc", ()),
    ("/dev", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    ("/dev/shm", "tmpfs", (*_QUIET, "mode=1777", "size=65536k")),  # noqa: S108 - in the container
    ("/dev/mqueue", "mqueue", _QUIET),
    ("/sys", "sysfs", (*_QUIET, "ro")),
    ("/sys/fs/cgroup", "cgroup", (*_QUIET, "relatime", "ro")),
)
"""Where, what and with which options an ordinary container has file systems beside its root."""

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

RUNTIME_ANNOTATIONS = (
    "run.oci.",
    "org.systemd.property.",
    "module.wasm.",
    "io.katacontainers.",
    "dev.gvisor.",
)
"""Annotations that control crun, runc, Kata and gVisor: an image must not set them (conversion.md, "Annotations")."""


CONFIGURED = (
    "user",
    "exposed_ports",
    "env",
    "entrypoint",
    "cmd",
    "volumes",
    "working_dir",
    "labels",
    "stop_signal",
)
"""What of a configuration a bundle has, and a root file system alone has not."""


def flatten_and_note_accounts(inputs: Sequence[Open], facts: LayerFacts, replaced: Replaced, /) -> Iterator[Block]:
    """The rewrite of all layers into one tree; learns the accounts in it."""
    accounts = Accounts()
    yield from join_blocks(accounts.watched(squash(inputs, replaced=replaced)))
    note_accounts(accounts, facts)
    yield END


def encode(item: Item, accepts: frozenset[str], _settings: Settings = DEFAULTS) -> Node:
    """Plan a root file system, and a ``config.json`` if the target accepts one; raises Unsupported."""
    image = single_image(item, single_file_name)
    configured = types.RUNTIME_CONFIG in accepts
    rewrite = flatten_and_note_accounts if configured else Flatten()
    content = Derived(inputs=image.layers, rewrite=rewrite, compression=NONE)
    rootfs = Make(content=content, media_type=types.ROOTFS, label="rootfs")
    if not configured:
        return rootfs
    if image.platform.os != "linux":
        made_for = f"is for {image.platform}" if image.platform.os else "names no operating system"
        raise Unsupported(f"the image {made_for}: a bundle can only be written for linux")
    return Write(media_type=types.RUNTIME_CONFIG, inputs=(rootfs,), render=_Config(image))


@frozen(kw_only=False)
class _Config:
    """Renders the ``config.json`` of an image from its root file system."""

    image: Image

    def __call__(self, made: tuple[Made, ...], /) -> bytes:
        return dump_json(runtime_config(self.image, made[0].facts))


def losses(item: Item, accepts: frozenset[str] = frozenset(), _settings: Settings = DEFAULTS) -> Iterable[Loss]:
    """What a runtime's configuration cannot or must not express, and all of it where the target takes none.

    That files have no history is not reported.
    """
    if not isinstance(item, Image):
        return
    if item.config.healthcheck:
        yield Loss(field="healthcheck", reason="a runtime checks no health")
    unsafe = sorted(label for label in item.config.labels if label.startswith(RUNTIME_ANNOTATIONS))
    if types.RUNTIME_CONFIG not in accepts:
        for field in CONFIGURED:
            if getattr(item.config, field):
                yield Loss(field=field, reason="a root file system has none; a bundle has")
    elif unsafe:
        yield Loss(field="labels", reason=f"a runtime would obey {', '.join(map(ascii, unsafe))}")
    for loss in losses_elsewhere(item, name):
        remaining = item.notes.confinement.losses.get(loss.field, loss)
        if remaining is not None:
            yield remaining


def runtime_config(image: Image, facts: LayerFacts) -> dict[str, Any]:
    """The ``config.json`` of an image, with the namespaces of an ordinary container (runtime-spec, config.md).

    ``facts`` are those of ``flatten_and_note_accounts``. Raises Unsupported if the user is not among the accounts.
    """
    config, confined = image.config, image.notes.confinement
    user = process_user(config.user, facts.passwd, facts.group)
    if confined.groups:
        user["additionalGids"] = list(confined.groups)
    env = list(config.env)
    if not any(text.startswith("PATH=") for text in env):
        env.insert(0, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    process = {
        "terminal": False,
        "user": user,
        "args": [*(config.entrypoint or ()), *(config.cmd or ())] or ["/bin/sh"],
        "env": env,
        "cwd": "/" + config.working_dir.lstrip("/"),
        "capabilities": {kind: list(confined.capabilities) for kind in ("bounding", "effective", "permitted")},
        "noNewPrivileges": True,
    }
    return {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": "rootfs"},
        "hostname": "container",
        "mounts": [*(_mount(*row) for row in MOUNTS), *_volumes(config, confined.read_only)],
        "annotations": dict(_config_annotations(image)),
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}], **confined.resources},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": list(MASKED),
            "readonlyPaths": list(READ_ONLY),
        },
    }


def _config_annotations(image: Image) -> Iterator[tuple[str, str]]:
    """The annotations that conversion.md names; labels of the image override derived ones."""
    config, platform = image.config, image.platform
    derived = {
        "os": platform.os,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "os.version": platform.os_version,
        "os.features": ",".join(platform.os_features),
        "author": image.author,
        "created": image.created,
        "stopSignal": config.stop_signal,
        "exposedPorts": ",".join(config.exposed_ports),
    }
    yield from ((f"org.opencontainers.image.{key}", value) for key, value in derived.items() if value)
    yield from ((key, value) for key, value in config.labels.items() if not key.startswith(RUNTIME_ANNOTATIONS))


def _volumes(config: RunConfig, read_only: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A tmpfs per volume, initialised with the image's files there, so that application data stays out of the tree."""
    for path in config.volumes:
        only = ["ro"] if path in read_only else []
        yield _mount("/" + path.lstrip("/"), "tmpfs", ["nosuid", "nodev", "tmpcopyup", *only])


def _mount(destination: str, kind: str, options: Sequence[str]) -> dict[str, Any]:
    mount = {"destination": destination, "type": kind, "source": kind}
    return {**mount, "options": list(options)} if options else mount
