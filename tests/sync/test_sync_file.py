from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from converter.conversion import Options
from converter.conversion.sync.sync_file import SyncEntry, read_sync_file
from converter.conversion.sync.yaml_text import read_yaml
from converter.errors import ConverterError, Invalid, LimitExceeded, Usage
from converter.model.content import Compression
from converter.model.reference import Location
from converter.signing import Signing
from converter.stores import StoreOptions

SKOPEOS = """\
registry.example.com:
    images:
        busybox: []
        redis:
            - "1.0"
            - 2.10
            - "sha256:0000000000000000000000000000000011111111111111111111111111111111"
    images-by-tag-regex:
        nginx: ^1\\.13\\.[12]-alpine-perl$
    images-by-semver:
        alpine: ">= 3.12.0"
    credentials:
        username: john
        password: this is a secret
    tls-verify: true
    cert-dir: /home/john/certs
quay.io:
    tls-verify: false
    images:
        coreos/etcd:
            - latest
"""
"""The example of skopeo-sync(1), but for a version without quotes."""

RICHER = """\
defaults:
  to: docker://mirror.example/team
  compress: zstd:7
  platform: [linux/amd64, linux/aarch64]
  rename: "{host}/{repository}"
images:
  - from: docker://registry.example.com/app
    semver: ^1.2
    to: oci:layouts
    compress: keep
  - {from: docker-archive:app.tar, platform: all, format: oci, strict: true, attachments: no, sign: key.pem}
quay.io:
  images: {coreos/etcd: [latest]}
"""

TO = Location.parse("docker://mirror.example")


def nobody(names: Sequence[str]) -> Signing:
    return Signing(makers=[], identity=",".join(names))


def entries(text: str, to: Location | None = TO, options: Options | None = None) -> list[SyncEntry]:
    return read_sync_file(text.encode(), options or Options(), to, nobody)


def test_skopeos_own_example() -> None:
    busybox, redis, nginx, alpine, etcd = entries(SKOPEOS)

    assert str(busybox.source) == "docker://registry.example.com/busybox"
    assert busybox.references == ()
    assert busybox.takes is None
    assert redis.references == ("1.0", "2.10", "sha256:" + "0" * 32 + "1" * 32)
    assert nginx.takes is not None
    assert nginx.takes("1.13.1-alpine-perl")
    assert not nginx.takes("1.13.3-alpine-perl")
    assert alpine.takes is not None
    assert alpine.takes("3.12.1")
    assert not alpine.takes("3.9")
    assert {str(one.to) for one in (busybox, etcd)} == {"docker://mirror.example"}
    store = redis.options.store
    assert store.credentials == ("john", "this is a secret")
    assert store.cert_dir == Path("/home/john/certs")
    assert store.tls_verify
    assert not etcd.options.store.tls_verify
    assert etcd.options.store.credentials is None


def test_what_a_file_says_of_a_source_does_not_hold_for_its_destination() -> None:
    target = StoreOptions(credentials=("us", "ours"))
    (entry,) = entries(
        "a.example: {images: {x: []}, tls-verify: false, credentials: {username: u, password: p}}",
        options=Options(target_store=target),
    )

    assert entry.options.target_store == target
    assert entry.options.store == replace(StoreOptions(), tls_verify=False, credentials=("u", "p"))


@pytest.mark.parametrize(
    "word, verify",
    [("true", True), ("True", True), ("yes", True), ("on", True), ("false", False), ("No", False), ("off", False)],
)
def test_yes_and_no_are_words_that_yaml_has_for_them(word: str, verify: bool) -> None:
    (entry,) = entries(f"a.example: {{images: {{x: [no]}}, tls-verify: {word}}}")

    assert entry.options.store.tls_verify == verify
    assert entry.references == ("no",)


@pytest.mark.parametrize(
    "pattern, inside, outside",
    [
        pytest.param("^v[[:digit:]]+$", "v1 v23", "v v1a", id="a class of digits"),
        pytest.param("^[[:alnum:]_]+$", "a1_ Z", "a-1", id="a class among other characters"),
        pytest.param("^[^[:upper:]]+$", "a1", "A", id="all but a class"),
        pytest.param("[0-9]$", "rc1", "1rc", id="a match anywhere"),
        pytest.param(r"^\pL+\z", "rc", "rc1", id="words of Go's that Python does not know"),
        pytest.param("^(a+)+$", "a" * 128, "a" * 127 + "b", id="what others need for ever for"),
    ],
)
def test_regular_expressions_are_read_as_skopeo_does(pattern: str, inside: str, outside: str) -> None:
    (entry,) = entries(f"a.example:\n  images-by-tag-regex:\n    x: '{pattern}'\n")

    assert entry.takes is not None
    assert [tag for tag in inside.split() if not entry.takes(tag)] == []
    assert [tag for tag in outside.split() if entry.takes(tag)] == []


def test_the_richer_form() -> None:
    etcd, app, archive = entries(RICHER, to=None)

    assert str(app.to) == "oci:layouts"
    assert app.takes is not None
    assert app.takes("1.9.0")
    assert not app.takes("2.0.0")
    assert app.options.compress == Compression("keep")
    assert app.options.platforms == ("linux/amd64", "linux/aarch64")
    assert app.rename == "{host}/{repository}"
    assert str(archive.source) == "docker-archive:app.tar"
    assert (archive.options.to, archive.options.strict, archive.options.platforms) == ("oci", True, ("all",))
    assert (archive.options.attachments, app.options.attachments) == (False, True)
    assert archive.options.signing is not None
    assert archive.options.signing.identity == "key.pem"
    assert archive.options.compress == Compression("zstd", 7)
    assert str(etcd.to) == "docker://mirror.example/team"


def test_the_command_wins_over_defaults_and_an_image_over_both() -> None:
    command = Options(compress=Compression("gzip"), platforms=("linux/s390x",), attachments=False)
    etcd, app, archive = read_sync_file(RICHER.encode(), command, TO, nobody, rename="{name}")

    assert [str(one.to) for one in (etcd, app, archive)] == ["docker://mirror.example", "oci:layouts", str(TO)]
    assert [str(one.options.compress) for one in (etcd, app, archive)] == ["gzip", "keep", "gzip"]
    assert [one.options.platforms for one in (etcd, app, archive)] == [("linux/s390x",), ("linux/s390x",), ("all",)]
    assert {one.rename for one in (etcd, app, archive)} == {"{name}"}
    assert not etcd.options.attachments


def test_a_destination_that_no_image_goes_to_is_refused() -> None:
    with pytest.raises(Usage, match=r"destination docker://mirror\.example has no effect"):
        entries("images: [{from: 'oci:in', to: 'oci:out'}]")
    assert len(entries("images: [{from: 'oci:in', to: 'oci:out'}, {from: 'oci:other'}]")) == 2
    assert entries("images: []") == []


@pytest.mark.parametrize(
    "text, error, fact",
    [
        pytest.param("a.example:\n  images:\n    x: [\n", Invalid, "line 4: not valid YAML", id="no YAML"),
        pytest.param("a.example:\n  imagse: {}\n", Invalid, 'line 2: a.example: unknown member "imagse"', id="a typo"),
        pytest.param(
            "a.example:\n  images: {}\n  tls-verify: maybe\n",
            Invalid,
            r'line 3: a.example.tls-verify: expected a boolean, found a string \("maybe"\)',
            id="no yes and no no",
        ),
        pytest.param(
            "a.example:\n  images:\n    x:\n    - {}\n",
            Invalid,
            "line 4: a.example.images.x.0: expected a string, found an object",
            id="a tag that is no text",
        ),
        pytest.param("images:\n- to: oci:x\n", Invalid, 'line 2: images.0: "from" is missing', id="no source"),
        pytest.param(
            "images:\n- from: oci:x\n  format: rkt\n",
            Invalid,
            'line 3: images.0.format: expected "docker" or "oci" or "aci", found "rkt"',
            id="a format that there is not",
        ),
        pytest.param(
            "images:\n- from: oci:x\n  tags: []\n",
            Invalid,
            "line 3: images.0.tags: the array is empty: at least 1 is required",
            id="a choice of nothing",
        ),
        pytest.param("images:\n- from: ''\n", Invalid, "line 2: images.0.from: the string is empty", id="no place"),
        pytest.param("- a\n", Invalid, "line 1: expected an object, found an array", id="a list"),
        pytest.param('\nx: "\\0"\n', Invalid, "line 2: NUL characters", id="a character that no path has"),
        pytest.param('\nx: "\\ud800"\n', Invalid, "line 2: half of a surrogate pair", id="half a character"),
        pytest.param('"\\udc00": 1\n', Invalid, "line 1: half of a surrogate pair", id="half a character as a key"),
        pytest.param("", Invalid, 'the file is empty: expected "images", or reg', id="nothing"),
        pytest.param("a.example: {}\n\na.example: {}\n", Invalid, 'duplicate key "a.example"', id="a registry twice"),
        pytest.param(
            "a.example:\n  images-by-tag-regex:\n    x: '('\n",
            Invalid,
            r'line 3: invalid regular expression "\("',
            id="no regular expression",
        ),
        pytest.param(
            "a.example:\n  images-by-semver:\n\n    x: new\n",
            Invalid,
            'line 4: invalid range of versions "new"',
            id="no range of versions",
        ),
        pytest.param(
            "images:\n- from: docker://a.example/x\n  compress: best\n",
            Usage,
            'line 2: unknown compression "best"',
            id="a compression that is none",
        ),
        pytest.param(
            "images:\n- from: docker://a.example/x\n  rename: '{nmae}'\n",
            Usage,
            "line 2: unknown field {nmae} in the name",
            id="a field of a name that there is not",
        ),
        pytest.param(
            "images:\n- {from: 'docker://a.example/x', tags: [a], semver: '1'}\n",
            Usage,
            "line 2: tags, tag-regex and semver cannot",
            id="two ways to choose",
        ),
        pytest.param(
            "a.example:\n  images:\n    X: []\n", Invalid, "line 3: invalid reference", id="a repository in upper case"
        ),
        pytest.param(
            "a.example:\n  images-by-tag-regex:\n    x: '[[:odd:]]'\n",
            Invalid,
            r"line 3: invalid regular expression .*invalid character class range: \[:odd:\]",
            id="a class of characters that there is not",
        ),
        pytest.param("a: &a [*a]\n", Invalid, "value contains itself", id="a list that holds itself"),
        pytest.param("%TAG ! x:\n---\n- !a b\n", Invalid, "%TAG directives", id="a prefix of tags"),
        pytest.param("[" * 65 + "]" * 65, LimitExceeded, "limit: json_depth", id="lists too deep within each other"),
        pytest.param(
            f"a: &a {'[' * 60}x{']' * 60}\nb: {'[' * 60}*a{']' * 60}\n",
            LimitExceeded,
            "limit: json_depth",
            id="an alias that makes them too deep",
        ),
        pytest.param(
            "a: &a0 {x: 1, y: 1, z: 1}\n"
            + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)),
            (Invalid, LimitExceeded),
            "unknown member|limit: yaml_values",
            id="merges of merges of merges",
        ),
        pytest.param(
            "".join(f"k{n}: 1\n" for n in range(9_999)) + "k9998: 1\n",
            Invalid,
            'duplicate key "k9998"',
            id="the last of many keys twice",
        ),
        pytest.param(
            f"a.example:\n  images-by-tag-regex:\n    x: '{'a' * 2_000_000}'\n",
            Invalid,
            "line 3: invalid regular expression .*pattern too large",
            id="a regular expression that takes megabytes",
        ),
        pytest.param(
            f"a.example:\n  images-by-semver:\n    x: '1{' ' * 200_000}y'\n",
            Invalid,
            "line 3: invalid range of versions",
            id="a range of versions that is all blanks",
        ),
        pytest.param(
            f"images:\n- from: docker://a.example/{'a/' * 100_000}\n",
            Invalid,
            "line 2: repository name of 200010 characters",
            id="a repository whose name is without end",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    text: str, error: type[ConverterError] | tuple[type[ConverterError], ...], fact: str
) -> None:
    with pytest.raises(error, match=fact):
        entries(text)


@pytest.mark.parametrize(
    "text, told",
    [
        pytest.param(
            "a.example:\n  credentials: john:secret\n",
            "line 2: a.example.credentials: expected an object, found a string",
            id="both in one text",
        ),
        pytest.param(
            "a.example:\n  credentials: [john, secret]\n",
            "line 2: a.example.credentials: expected an object, found an array",
            id="both in a list",
        ),
        pytest.param("a.example: john:secret\n", "line 1: a.example: expected an object", id="at the registry itself"),
        pytest.param(
            "a.example: {credentials: {username: [secret], password: {secret: secret}}}\n",
            "password: expected a string, found an object; line 1: .*username: expected a string, found an array",
            id="deeper than a text",
        ),
        pytest.param(
            "a.example: {credentials: {username: john, pasword: secret}}\n",
            '"password" is missing; line 1: a.example.credentials: unknown member "pasword"',
            id="below a misspelt member",
        ),
        pytest.param(
            "images: [{from: oci:x, credential: john:secret}]\n", 'unknown member "credential"', id="a misspelt member"
        ),
    ],
)
def test_a_password_in_the_wrong_place_is_not_shown(text: str, told: str) -> None:
    with pytest.raises(Invalid, match=told) as refused:
        entries(text)
    assert "secret" not in str(refused.value)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(Invalid, match=r'line 1: .*"x".*; line 2: .*"y"'):
        entries("a.example: {x: 1}\nb.example: {y: 1}\n")


def test_an_entry_without_a_destination_is_wrong_usage() -> None:
    with pytest.raises(Usage, match="line 2: no destination"):
        entries("a.example:\n  images: {x: []}\n", to=None)


def test_aliases_and_merges_are_read() -> None:
    first, second = entries(
        "a.example: &a {tls-verify: false, images: {x: [a]}}\nb.example: {<<: *a, images: {y: [b]}}\n"
    )

    assert str(second.source) == "docker://b.example/y"
    assert not first.options.store.tls_verify
    assert not second.options.store.tls_verify


@given(st.text(alphabet="{}[]:,-&*!|>'\"\n #abc0~<?@%\t", max_size=60) | st.binary(max_size=60).map(repr))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Invalid, Usage):
        entries(text)


def test_lines_are_those_of_the_text() -> None:
    document = read_yaml("a:\n  - b\n  - c:\n      d\n")

    assert [document.line(path) for path in ((), ("a",), ("a", 1), ("a", 1, "c"), ("a", 1, "zzz"))] == [1, 1, 3, 3, 3]
