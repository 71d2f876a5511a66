"""The group that a user runs in where an image names none: what the Engine does when it runs one (passwd(5))."""

from __future__ import annotations

PASSWD = b"etc/passwd"


_ROOT = "0"


def group_of(user: str, passwd: bytes) -> str:
    """The primary group of a user, given by name or number, as the image's password file has it.

    A number that is not there runs in the group of root. A name that is not there does not run at all: it stands for
    its group, as docker2aci has it. A name is looked for before a number, for a name may be all digits (appc spec,
    aci.md, "user, group").
    """
    rows = [line.split(b":") for line in passwd.splitlines()]
    for column in (0, 2):
        for row in rows:
            if len(row) > 3 and row[column] == user.encode() and row[3].isdigit():
                return row[3].decode()
    return _ROOT if user.isdecimal() else user
