"""The rules of isolators, which restrict an app or a pod (appc spec 0.8.11, ace.md, "Isolators").

The reference's types/isolator*.go decides where the text leaves it open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converter.model.document import lenient_member
from converter.schema.finding import Hit, Rule
from converter.schema.shared_checks import of_found, repeated_members, values_at, wrong_form


def in_apps(*paths: str) -> tuple[str, ...]:
    """Paths within an app, from where an image's manifest has its app, and a pod's manifest its apps."""
    return tuple(f"{app}/{path}" for app in ("app", "apps/*/app") for path in paths)


ISOLATORS = frozenset(
    (
        "os/linux/apparmor-profile",
        "os/linux/capabilities-remove-set",
        "os/linux/capabilities-retain-set",
        "os/linux/cpu-shares",
        "os/linux/no-new-privileges",
        "os/linux/oom-score-adj",
        "os/linux/seccomp-remove-set",
        "os/linux/seccomp-retain-set",
        "os/linux/selinux-context",
        "os/unix/sysctl",
        "resource/block-bandwidth",
        "resource/block-iops",
        "resource/cpu",
        "resource/memory",
        "resource/network-bandwidth",
    )
)
ONCE = frozenset(
    (
        "os/linux/apparmor-profile",
        "os/linux/cpu-shares",
        "os/linux/oom-score-adj",
        "os/linux/seccomp-remove-set",
        "os/linux/seccomp-retain-set",
        "os/linux/selinux-context",
        "os/unix/sysctl",
    )
)
_ALL = (*in_apps("isolators/*"), "isolators/*")
"""The paths of the isolators of apps, and of those of a whole pod."""
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([numkKMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?"
_PLAIN_NUMBER = r"[0-9]+(\.[0-9]+)?(m|[KMGTPE]i?)?"
_NO_NUMBER = r"[+-]?\.?([numkKMGTPE]|[KMGT]i|[eE][+-]?[0-9]+)|[+-]?\.|[+-]"


def isolator_known(document: Any) -> Iterator[Hit]:
    """Isolators of an app that the specification does not define."""
    for where, isolator in values_at(dict, document, *in_apps("isolators/*")):
        name = isolator.get("name", "")
        if isinstance(name, str) and name not in ISOLATORS:
            yield f"{where}/name" if "name" in isolator else where, f'unknown isolator "{name[:100]}"'


def isolator_value(document: Any) -> Iterator[Hit]:
    """Isolators without a value, including unknown ones."""
    for where, isolator in values_at(dict, document, *_ALL):
        if "value" not in isolator and lenient_member(isolator, "name", str) not in ISOLATORS:
            yield where, '"value" is missing'


def quantities(document: Any) -> Iterator[tuple[str, str]]:
    """The requests and limits of resource isolators; other isolators may have members of these names, too."""
    for where, isolator in values_at(dict, document, *_ALL):
        if lenient_member(isolator, "name", str).startswith("resource/"):
            for part, text in values_at(str, isolator, "value/request", "value/limit"):
                yield where + part, text


def conflicting(document: Any, one: str, other: str) -> Iterator[Hit]:
    """Apps with two isolators of which one retains what the other removes."""
    for where, isolators in values_at(list, document, *in_apps("isolators")):
        names = {lenient_member(item, "name", str) for item in isolators}
        if {one, other} <= names:
            yield where, f"{one} and {other} exclude each other"


SPEC = "appc spec 0.8.11, "
_PODS = ("aci-pod-manifest",)
BOTH = ("aci-image-manifest", *_PODS)

RULES = (
    Rule(
        name="aci/isolator-known",
        title="The isolators of an app are those of the specification.",
        spec=SPEC + "ace.md, Isolators",
        kinds=BOTH,
        check=isolator_known,
        strict="warning",
        note="The text lets an executor ignore what it does not know; the reference refuses it in an app.",
    ),
    Rule(
        name="aci/isolator-value",
        title="An isolator has a value, also one that nobody knows.",
        spec=SPEC + "types.md, Isolator Type",
        kinds=BOTH,
        check=isolator_value,
        compat="warning",
        note="The reference does not look at what it does not know.",
    ),
    Rule(
        name="aci/isolator-repeated",
        title="An isolator that holds for the whole app is there once.",
        spec=SPEC + "ace.md, Isolators",
        kinds=BOTH,
        check=lambda document: repeated_members(document, "isolator", *in_apps("isolators"), only=ONCE),
    ),
    Rule(
        name="aci/pod-isolator-repeated",
        title="An isolator that holds for the whole pod is there once.",
        spec=SPEC + "ace.md, os/linux/selinux-context, os/unix/sysctl",
        kinds=_PODS,
        check=lambda document: repeated_members(
            document, "isolator", "isolators", only=("os/linux/selinux-context", "os/unix/sysctl")
        ),
        compat="warning",
        note="The reference counts the isolators of an app alone.",
    ),
    Rule(
        name="aci/isolator-conflict",
        title="System calls are either retained or removed.",
        spec=SPEC + "ace.md, os/linux/seccomp-retain-set",
        kinds=BOTH,
        check=lambda document: conflicting(document, "os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"),
    ),
    Rule(
        name="aci/capability-conflict",
        title="Capabilities are either retained or removed.",
        spec=SPEC + "ace.md, os/linux/capabilities-retain-set",
        kinds=BOTH,
        check=lambda document: conflicting(
            document, "os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set"
        ),
        compat="warning",
        note="The reference takes both.",
    ),
    Rule(
        name="aci/quantity-kilo",
        title="A quantity has k for thousands, not K.",
        spec=SPEC + "ace.md, Resource Isolators",
        kinds=BOTH,
        check=of_found(
            quantities, wrong_form("(?s).*K *", 'invalid quantity "{:.60}": thousands are k, and 1024 is Ki')
        ),
        strict=None,
        note="The text lists K; the reference knows k and Ki alone.",
    ),
    Rule(
        name="aci/quantity-digits",
        title="A quantity has digits before its suffix.",
        spec=SPEC + "ace.md, Resource Isolators",
        kinds=BOTH,
        check=of_found(
            quantities, wrong_form(f" *({_NO_NUMBER}) *", 'quantity "{:.60}" has no digits: it is read as 0')
        ),
        compat="warning",
        strict=None,
        note="The reference reads 0 where they are missing; under strict it is aci/quantity-form that says so.",
    ),
    Rule(
        name="aci/quantity-form",
        title="A quantity is digits and one of the suffixes that the text lists.",
        spec=SPEC + "ace.md, Resource Isolators",
        kinds=BOTH,
        check=of_found(
            quantities,
            wrong_form(
                rf"(?!{_PLAIN_NUMBER}\Z) *({_NUMBER}|{_NO_NUMBER}) *",
                'invalid quantity "{:.60}": expected digits, and E P T G M K, Ei Pi Ti Gi Mi Ki or m',
            ),
        ),
        compat=None,
        note="The reference takes what Kubernetes does: signs, exponents, n, u, k, blanks around, and bare numbers.",
    ),
)
