"""Domain names in their ASCII form, for every address and host, configured or mailed to.

IDNA 2008: the older rules turn `straße.de` into `strasse.de`, which is somebody else's domain.
"""


def ascii_domain(name: str) -> str:
    """`name` with its international labels encoded; ASCII labels are unchanged.

    Raises:
        ValueError: it is not a domain name, or would decode to a different one.
    """
    if name.isascii():
        return name
    # Loading its tables takes a while, and few names need them.
    import idna

    try:
        meant = idna.uts46_remap(name, std3_rules=True, transitional=False)
        encoded = idna.encode(meant, std3_rules=True, transitional=False).decode("ascii")
        if idna.decode(encoded) == meant:
            return encoded
    except UnicodeError:
        pass
    raise ValueError("must be a domain name")
