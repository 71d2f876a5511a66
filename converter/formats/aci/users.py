"""The groups of a user that an image names without one, as in the Engine (image-spec 1.1.1, conversion.md).

An ACI must state them; they come from the account files in the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converter.errors import Unsupported
from converter.formats.accounts import has_account, process_user
from converter.model.content import LayerFacts


def with_groups(document: Mapping[str, Any], user: str, facts: LayerFacts) -> Mapping[str, Any]:
    """The manifest with the groups of its user in the account files; unchanged if ``user`` is empty.

    A user without an account keeps its own name or number as its group, with a warning: the group cannot be known.
    """
    if not user:
        return document
    try:
        found = process_user(user, facts.passwd, facts.group) if has_account(user, facts.passwd) else {}
    except Unsupported:  # a number that no group can have
        found = {}
    if not found:
        facts.warning = f'no user "{user}" in /etc/passwd of the image: the ACI has it as its group, too'
        return document
    app = {**document["app"], "group": str(found["gid"])}
    if found.get("additionalGids"):
        app.setdefault("supplementaryGIDs", found["additionalGids"])
    return {**document, "app": app}
