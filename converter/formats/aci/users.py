"""The group of a user, as the password file of an image tells it (passwd(5))."""

from __future__ import annotations

PASSWD = b"etc/passwd"


def group_of(user: str, passwd: bytes) -> str:
    """The number of the primary group of a user, given by name or number; empty where the file does not tell it.

    A name is looked for before a number, for a name may be all digits (appc spec, aci.md, "user, group").
    """
    rows = [line.split(b":") for line in passwd.splitlines()]
    for column in (0, 2):
        for row in rows:
            if len(row) > 3 and row[column] == user.encode() and row[3].isdigit():
                return row[3].decode()
    return ""
