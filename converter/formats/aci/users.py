"""The groups of a user that an image names without any: those that the Engine would use (image-spec 1.1.1,
conversion.md). An ACI has to name them; which they are, the account files in the image say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.errors import Unsupported
from converter.formats.accounts import has_account, process_user
from converter.model.content import WARNING, Note


def with_groups(document: Mapping[str, Any], user: str, accounts: Mapping[str, str], note: Note) -> Mapping[str, Any]:
    """The manifest with the groups of its user, given what ``accounts.noted`` notes; as it is where ``user`` is empty.

    A user that has no account keeps its own name or number as its group, and that is told: nobody can know better.
    """
    if not user:
        return document
    try:
        found = (
            process_user(user, accounts["passwd"], accounts["group"]) if has_account(user, accounts["passwd"]) else {}
        )
    except Unsupported:  # a number that no group can have
        found = {}
    if not found:
        note(WARNING, f"got no user {user!a} in the image's /etc/passwd, so the ACI has it as its group, too")
        return document
    app = {**document["app"], "group": str(found["gid"])}
    if found.get("additionalGids"):
        app.setdefault("supplementaryGIDs", found["additionalGids"])
    return {**document, "app": app}
