"""Attacks on a converted image by somebody who can change all of it, also its record, and has no key.

Each row says what is done, how, on which converted images, and for what reason ``verify`` refuses what is left.
"""

from __future__ import annotations

import gzip
import tarfile

import zstandard

from converter.formats.aci.kept_annotations import MANIFEST
from converter.model import media_types as types
from converter.model.reference import RECIPE
from converter.trust import cosign
from tests.builders import sha256
from tests.trust.attacked import (
    ACI_ACI,
    ACI_OCI,
    DOCKER,
    EVERY,
    INDEX,
    LAYERED,
    OCI_ACI,
    OCI_OCI,
    OF_ACI,
    OF_DOCKER,
    ONE,
    SQUASHED,
    V1,
    V1_ACI,
    attack,
    on,
)
from tests.trust.changes import documents, files, records, tars
from tests.trust.making import NAME

LAYER, AGAIN, GIVES = "which was signed", "made again from the image", "which the signed image gives"
MISSING, NAMES = "record lacks the layer", "for the name"
STAYS = "does not make a file that stays"
KEY_IS_ANOTHER, UNSIGNED = "signature was not made by --key", ": no signature by"
MADE_OF_LAYERS = (*OF_DOCKER, V1, ACI_OCI, SQUASHED)
ZLIB_1 = '{"by":"zlib","level":1,"header":"","check":0,"zeros":0}'

FILES = (
    attack("one byte of a layer is changed", files.one_byte, on(EVERY, "broken gzip stream")),
    attack(
        "one byte of a file is changed, and every digest fits",
        files.each(files.content("bin/sh", files.flipped)),
        on(OF_DOCKER, LAYER),
        on(V1, MISSING),
        on(OCI_ACI, "digest mismatch"),
        on(V1_ACI, "/bin/sh: content: expected"),
        on(OF_ACI, AGAIN),
    ),
    attack(
        "a file's mode is set to 4777",
        files.each(files.entry("bin/sh", mode=0o4777)),
        on(OF_DOCKER, LAYER),
        on(V1, MISSING),
        on((OCI_ACI, V1_ACI), '/bin/sh: mode: expected "0755", found "4777"'),
        on(OF_ACI, AGAIN),
    ),
    attack(
        "a file has another owner",
        files.each(files.entry("bin/su", uid=1000)),
        on(OF_DOCKER, LAYER),
        on(V1, MISSING),
        on((OCI_ACI, V1_ACI), '/bin/su: owner: expected "0:0", found "1000:0"'),
        on(OF_ACI, AGAIN),
    ),
    attack(
        "a file is added",
        files.each(files.everything, "bin/evil"),
        on(OF_DOCKER, LAYER),
        on(V1, MISSING),
        on((OCI_ACI, V1_ACI, LAYERED), '/bin/evil: entry: expected nothing, found "file"'),
        on(OF_ACI, AGAIN),
    ),
    attack(
        "a whiteout is removed",
        files.whiteout,
        on(OF_DOCKER, LAYER),
        on(V1, MISSING),
        on((OCI_ACI, V1_ACI, LAYERED), '/bin/secret: entry: expected nothing, found "file"'),
    ),
    attack(
        "the environment is changed",
        files.environment,
        on((*OF_DOCKER, V1, ACI_OCI), "config: /config"),
        on((OCI_ACI, LAYERED), "manifest: /app"),
        on(V1_ACI, "/app/environment: expected nothing"),
        on(ACI_ACI, AGAIN),
    ),
    attack("the ACI below is exchanged for another one", files.below, on(LAYERED, "blob unknown")),
    attack("the ACI below is changed under its name", files.below_changed, on(LAYERED, "digest mismatch")),
    attack(
        "a file is replaced, and the recipe has the old one",
        files.in_the_recipe(files.content("bin/sh", files.flipped)),
        on(OCI_ACI, "/bin/sh: content: expected"),
        on(SQUASHED, GIVES),
    ),
    attack(
        "a file is taken away, and the recipe still has it",
        files.in_the_recipe(files.without("bin/sh")),
        on(OCI_ACI, '/bin/sh: entry: expected "file", found nothing'),
        on(SQUASHED, GIVES),
    ),
    attack(
        "a file that was whited out is brought back under a name of its own",
        files.in_the_recipe(files.everything, "bin/secret"),
        on(OCI_ACI, '/bin/secret: entry: expected nothing, found "file"'),
        on(SQUASHED, GIVES),
    ),
    attack(
        "an entry is left out",
        files.each(files.without("etc/passwd")),
        on(OCI_OCI, LAYER),
        on(OCI_ACI, "digest mismatch"),
        on(ACI_OCI, AGAIN),
    ),
)

TARS = (
    attack("a file with a whiteout's name is added", tars.added("rootfs/etc/.wh.evil"), on(OCI_ACI, STAYS)),
    attack("a directory is made opaque", tars.added("rootfs/etc/.wh..wh..opq"), on(OCI_ACI, STAYS)),
    attack("what aufs keeps is added", tars.added("rootfs/.wh..wh.plnk/evil"), on(OCI_ACI, STAYS)),
    attack("the label of a volume is added", tars.added("evil", type=b"V"), on(OCI_ACI, STAYS)),
    attack(
        "a directory's entry is left out",
        tars.with_members(without="rootfs/etc"),
        on(OCI_ACI, "/etc: expected an entry without names and labels, found no entry"),
    ),
    attack(
        "the archive's root has an entry",
        tars.with_members(tars.member(".", type=tarfile.DIRTYPE, mode=0o777)),
        on(OCI_ACI, "/: expected "),
    ),
    attack("a file is there twice", tars.with_members(tars.member("./rootfs/bin/sh")), on(OCI_ACI, "occurs twice")),
    attack(
        "a link comes where a directory follows",
        tars.with_members(tars.member("rootfs//bin", type=tarfile.SYMTYPE, linkname="/etc")),
        on(OCI_ACI, "occurs twice"),
    ),
    attack("a path leads out", tars.added("rootfs/../../etc/evil"), on(OCI_ACI, '".." is not allowed')),
    attack(
        "an entry has a type that nobody knows", tars.added("rootfs/evil", type=b"Z"), on(OCI_ACI, "unsupported type")
    ),
    attack("two names are exchanged for some readers", tars.exchanged, on(V1_ACI, 'version "." without a map')),
    attack(
        "a long name is empty",
        tars.before("rootfs/bin/su", tars.record(b"L", b"\0")),
        on(V1_ACI, "long name at byte"),
    ),
    attack(
        "an owner is there for some readers alone",
        tars.before("rootfs/bin/su", tars.record(b"g", b"8 uid=0\n")),
        on(V1_ACI, "a global PAX header"),
    ),
    attack(
        "a PAX header is there for some readers alone",
        tars.before("rootfs/bin/su", tars.record(b"X", b"22 path=rootfs/bin/su\n")),
        on(V1_ACI, "a PAX header of Solaris"),
    ),
    attack("a directory has a size", tars.in_header("rootfs/bin/", 124, b"00000001000\0"), on(OCI_ACI, "has a size")),
    attack(
        "a directory is one for some readers alone",
        tars.in_header("rootfs/bin/", 156, b"0"),
        on(OCI_ACI, "a type that its name"),
    ),
    attack(
        "a header is one of star's",
        tars.in_header("rootfs/bin/su", 508, b"tar\0"),
        on(OCI_ACI, "fields of another dialect"),
    ),
    attack(
        "a file has another time",
        files.in_the_recipe(files.entry("bin/sh", mtime=5)),
        on(OCI_ACI, "/bin/sh: mtime: expected"),
    ),
    attack(
        "a file becomes a hard link",
        files.in_the_recipe(files.entry("bin/su", type=tarfile.LNKTYPE, linkname="rootfs/bin/sh")),
        on(OCI_ACI, "/bin/sh: names: expected"),
    ),
    attack(
        "a file has an attribute",
        tars.records("bin/sh", **{"SCHILY.xattr.security.capability": "x"}),
        on(OCI_ACI, "xattrs: expected"),
    ),
    attack(
        "a file has an attribute as libarchive writes it",
        tars.records("bin/sh", **{"LIBARCHIVE.xattr.security.capability": "eA"}),
        on(OCI_ACI, "with LIBARCHIVE.xattr.security.capability"),
    ),
    attack(
        "a file has an ACL",
        tars.records("bin/sh", **{"SCHILY.acl.access": "user::rwx"}),
        on(OCI_ACI, "with SCHILY.acl.access"),
    ),
    attack(
        "a file has a label of SELinux",
        tars.records("bin/sh", **{"RHT.security.selinux": "x"}),
        on(OCI_ACI, "with RHT.security.selinux"),
    ),
    attack(
        "an owner has a name",
        files.in_the_recipe(files.entry("bin/su", uname="daemon")),
        on(OCI_ACI, 'with uname "daemon"'),
    ),
    attack("the app has an isolator", tars.isolator, on(OCI_ACI, "/app/isolators: expected nothing")),
    attack(
        "the app runs as another group",
        files.in_the_recipe(tars._another_user),
        on(OCI_ACI, '/app/group: expected "0", found "7"'),
    ),
    attack(
        "a second gzip member follows",
        tars.appended(gzip.compress(tars.EVIL, mtime=0)),
        on(OCI_OCI, LAYER),
        on(DOCKER, LAYER),
        on(OCI_ACI, "data after the last entry"),
    ),
    attack(
        "a second gzip member follows behind zeros",
        tars.appended(bytes(100) + gzip.compress(tars.EVIL, mtime=0)),
        on(OCI_OCI, LAYER),
    ),
    attack(
        "something follows the gzip stream", tars.appended(b"evil"), on(OF_DOCKER, "unexpected end of the gzip stream")
    ),
    attack(
        "a zstd frame follows the gzip stream",
        tars.appended(zstandard.compress(tars.EVIL)),
        on(OCI_OCI, "broken gzip stream"),
    ),
    attack(
        "a layer is packed otherwise than its media type says",
        files.repacked(lambda data: zstandard.compress(gzip.decompress(data))),
        on(OCI_OCI, "compression of the layer is zstd: its media type says gzip"),
    ),
    attack("another archive lies behind the end", tars.behind_the_end, on(OCI_ACI, "data after the last entry")),
)

DOCUMENTS = (
    attack(
        "the manifest has a subject",
        documents.manifest(lambda said: said.update(subject=said["config"])),
        on(OF_DOCKER, "/subject: expected nothing"),
    ),
    attack(
        "the manifest has an artifact type",
        documents.manifest(lambda said: said.update(artifactType="application/evil")),
        on(OF_DOCKER, "/artifactType: expected"),
    ),
    attack(
        "data stands in place of a layer",
        documents.layer(data="ZXZpbA=="),
        on(MADE_OF_LAYERS, "/layers/0/data: expected nothing"),
    ),
    attack(
        "data stands in place of the config",
        documents.manifest(lambda said: said["config"].update(data="e30=")),
        on(MADE_OF_LAYERS, "/config/data: expected nothing"),
    ),
    attack(
        "a layer is one that readers may leave out",
        documents.layer(mediaType=types.OCI_NONDISTRIBUTABLE_GZIP),
        on((*OF_DOCKER, V1), "/layers/0/mediaType: expected"),
    ),
    attack(
        "a layer has a platform",
        documents.layer(platform={"os": "x", "architecture": "y"}),
        on(OCI_OCI, "/layers/0/platform: expected nothing"),
    ),
    attack(
        "two keys differ in case alone",
        documents.manifest(lambda said: said.update(Layers=[])),
        on(OCI_OCI, "differs from it only in case"),
    ),
    attack(
        "an index for lazy pulls is named",
        documents.manifest(lambda said: said.update(annotations={"com.amazon.soci.index-digest": sha256(b"evil")})),
        on(OCI_OCI, '"com.amazon.soci.index-digest"'),
    ),
    attack(
        "an isolator lies where the way back to an ACI finds it",
        documents.noted(MANIFEST, lambda said: said["app"].update(isolators=[])),
        on(ACI_OCI, '"appc.io/aci/manifest"'),
    ),
    attack(
        "a mode lies where the way back to an ACI finds it",
        documents.noted(RECIPE, documents._with_4777, of_layer=True),
        on(ACI_OCI, '"appc.io/aci/recipe"'),
    ),
    attack(
        "the image has another name for some readers",
        documents.called("", full=NAME, short=documents.OTHER),
        on(OCI_OCI, f"two names, {NAME} and {documents.OTHER}"),
    ),
    attack(
        "the image has another name for some readers, and is asked for by it",
        documents.called(documents.OTHER, full=NAME, short=documents.OTHER),
        on(OCI_OCI, NAMES),
    ),
    attack(
        "the image has a second name",
        documents.two_names,
        on(OCI_OCI, f"ask for it by one of {NAME}, {documents.OTHER}"),
    ),
    attack(
        "the name has the digest of another image",
        documents.called("", short=f"registry.example/app@{sha256(b'other')}"),
        on(OCI_OCI, "say which name"),
    ),
    attack(
        "an image of an index is there twice",
        documents.manifest(lambda said: said["manifests"].append(said["manifests"][0])),
        on(INDEX, "index has 3 entries"),
    ),
    attack(
        "an image of an index is left out",
        documents.manifest(lambda said: said["manifests"].pop()),
        on(INDEX, "index has 1 entries"),
    ),
    attack(
        "the images of an index are exchanged",
        documents.manifest(lambda said: said["manifests"].reverse()),
        on(INDEX, "which was signed"),
    ),
    attack("the chain goes by way of another image", records.chained, on(DOCKER, "config: /config")),
    attack(
        "an attestation stands in place of the signature",
        records.attested,
        on((*OF_DOCKER, OCI_ACI), "only attestations"),
    ),
    attack("the records have no end", records.many_records, on(OCI_OCI, "more than 32 origin records")),
    attack(
        "the image goes by another name",
        documents.renamed("registry.example/other:1"),
        on((*OF_DOCKER, OCI_ACI, LAYERED, ACI_OCI), NAMES),
        on(V1_ACI, '/name: expected "registry.example/other"'),
        on(ACI_ACI, AGAIN),
    ),
    attack(
        "the image goes by another tag",
        documents.renamed("registry.example/app:2"),
        on((*OF_DOCKER, OCI_ACI, LAYERED, ACI_OCI), NAMES),
    ),
    attack("the platforms of an index are swapped", documents.swapped_platforms, on(INDEX, "index: /manifests")),
    attack(
        "a layer is read by a table that nobody signed",
        documents.lazy,
        on((*OF_DOCKER, V1), "changes what is made of the image"),
    ),
    attack("a layer lies elsewhere", documents.urls, on((*OF_DOCKER, V1), "/layers/0/urls: expected nothing")),
    attack("a layer is said to be a plain tar", documents.mislabelled, on(OCI_OCI, "its media type says")),
)

RECORDS = (
    attack(
        "the recipe is that of another image",
        records.recipe(records.step(b"L", (4, 4), more=b"evil")),
        on(OCI_ACI, "bytes, read 4"),
    ),
    attack(
        "the manifest is that of another image of the signer",
        records.spliced("manifest"),
        on(OCI_ACI, "signature of another manifest"),
    ),
    attack(
        "the configuration is that of another image of the signer",
        records.spliced("config"),
        on(OCI_ACI, "record lacks the layer"),
    ),
    attack(
        "the recipe has differences without end",
        records.recipe(records.DIFFERENCE * 100_000),
        on(OCI_ACI, "read more"),
    ),
    attack("a difference reads behind the end", records.recipe(records.ELSEWHERE), on(OCI_ACI, "piece ends at")),
    attack(
        "a difference is one from a gigabyte",
        records.recipe(records.GREEDY),
        on(OCI_ACI, "recipe: difference of"),
    ),
    attack(
        "a difference gives another size",
        records.recipe(records.LIAR),
        on(OCI_ACI, "recipe: difference makes"),
    ),
    attack("the image is said to be made of itself", records.of_itself, on(OF_DOCKER, UNSIGNED)),
    attack("the record leads back to itself", records.in_a_circle, on(OF_DOCKER, "origin record of another image")),
    attack("the list of signatures is empty", records.unsigned, on((*OF_DOCKER, OCI_ACI, ACI_OCI), UNSIGNED)),
    attack("the manifest of the signature has none", records.emptied, on((*OF_DOCKER, OCI_ACI), UNSIGNED)),
    attack(
        "the signature is empty",
        records.annotated(**{cosign.SIGNATURE: ""}),
        on((OCI_OCI, OCI_ACI), "has no signature"),
    ),
    attack(
        "the signature is of another kind of key",
        records.annotated(**{cosign.SIGNATURE: "A" * 344}),
        on((OCI_OCI, OCI_ACI), KEY_IS_ANOTHER),
    ),
    attack(
        "the payload is said to be an envelope", records.of_kind(cosign.ENVELOPE), on(OCI_OCI, "payloadType: missing")
    ),
    attack(
        "the original is said to be of Docker",
        records.root(mediaType=types.DOCKER_MANIFEST),
        on(OCI_OCI, "/mediaType: expected"),
    ),
    attack(
        "the original is said to be an index",
        records.root(mediaType=types.OCI_INDEX),
        on((OCI_OCI, OCI_ACI), '"manifests" is missing'),
    ),
    attack(
        "the original is said to be larger",
        records.root(size=1 << 20),
        on((OCI_OCI, OCI_ACI), "expected 1048576 bytes"),
    ),
    attack(
        "the original is said to be at hand", records.root(data="ZXZpbA==", size=4), on(OCI_OCI, "expected 4 bytes")
    ),
    attack("the image is said not to be flattened", records.settings(layered=True), on(OCI_ACI, "ACIs")),
    attack(
        "the image is said to have been called otherwise",
        records.settings(called="evil.example/app:1"),
        on(OCI_ACI, "/name: expected"),
    ),
    attack("the layers are exchanged", records.reordered, on(OCI_OCI, "which was signed")),
    attack(
        "a diff_id is by another algorithm",
        records.rows(diffID="sha512:" + "0" * 128),
        on(OCI_ACI, "record lacks the layer"),
    ),
    attack(
        "the recipe is said to be for another layer",
        records.rows(diffID=sha256(b"x")),
        on(OCI_ACI, "record lacks the layer"),
    ),
    attack(
        "a layer is said to be made of another's blob", records.rows(target=sha256(b"{}")), on(OCI_ACI, "blob unknown")
    ),
    attack("a size is no number", records.rows(size="10"), on(OCI_ACI, "size: expected a whole number")),
    attack(
        "a size has a fraction",
        records.text('"size":', '"size":1.0,"sizes":'),
        on((OCI_OCI, OCI_ACI), "size: expected a whole number"),
    ),
    attack("the version has a fraction", records.text('"version":1', '"version":1.0'), on(OF_DOCKER, "version")),
    attack("the version is true", records.text('"version":1', '"version":true'), on(OF_DOCKER, "version")),
    attack(
        "a key is there twice, once in escapes",
        records.text('"version":1', '"version":1,"\\u0076ersion":1'),
        on((*OF_DOCKER, OCI_ACI), 'duplicate key "version"'),
    ),
    attack("a mark of the byte order comes first", records.text("{", "\ufeff{"), on(OCI_OCI, "invalid JSON")),
    attack(
        "half a character is in a name", records.text('"called":"', '"called":"\ud800'), on(OCI_OCI, "invalid UTF-8")
    ),
    attack("a number is none at all", records.text('"epoch":0', '"epoch":NaN'), on(OCI_OCI, "NaN is not a number")),
    attack(
        "a number has no end",
        records.text('"epoch":0', '"epoch":1e999'),
        on(OCI_OCI, "a number does not fit into 64 bits"),
    ),
    attack(
        "the name only looks alike",
        records.settings(called="reg\u0456stry.example/app:1"),
        on(OCI_ACI, "/name: expected"),
    ),
    attack(
        "an evil image has the same name", records.two_of_one_name, on((*OF_DOCKER, V1, INDEX), "holds 2 images named")
    ),
    attack("the record is gone", records.stripped, on((*EVERY, INDEX), "no signature by")),
    attack(
        "the record names another subject",
        records.of_another_subject,
        on((*EVERY, INDEX), "origin record of another image"),
    ),
    attack(
        "the record is that of another image",
        records.of_another_image,
        on(OF_DOCKER, "config: /config"),
        on((OCI_ACI, LAYERED), MISSING),
        on((V1, V1_ACI), NAMES),
        on(OF_ACI, "that was not given"),
    ),
    attack("the recipe is a bomb", records.bomb, on(OCI_ACI, "read more")),
    attack("the recipe is of a layer too large", records.large_claim, on(OCI_ACI, "limit: ratio")),
    attack("the recipe reads behind the end", records.recipe_elsewhere, on(OCI_ACI, "piece ends at")),
    attack(
        "the record is of another platform",
        records.another_platform,
        on(INDEX, "one is an image, the other an index"),
        on(ONE, "blob unknown"),
    ),
    attack("a key is there twice in the record", records.twice("record"), on(EVERY, 'duplicate key "version"')),
    attack(
        "a key is there twice in what was signed",
        records.twice("manifest"),
        on((*OF_DOCKER, V1, OCI_ACI, V1_ACI, LAYERED), "read more"),
    ),
    attack("another compressor is said to have packed it", records.packed_by(ZLIB_1), on(OF_ACI, AGAIN)),
    attack(
        "no compressor is said to have packed it", records.packed_by("{}"), on(OF_ACI, "packing: not a record of how")
    ),
    attack("the key is not the one that is asked for", records.other_keys, on((OCI_OCI, OCI_ACI), KEY_IS_ANOTHER)),
)

ATTACKS = (*FILES, *TARS, *DOCUMENTS, *RECORDS)
