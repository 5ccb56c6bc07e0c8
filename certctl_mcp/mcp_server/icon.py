"""The server's icon: a bell, as a data URI, so that a host can show it without a request.

It is as small as possible, because the SDK sends the server's description with every result.
"""

from mcp_types import Icon

_SVG = (
    "%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20viewBox='0,0,9,9'%3E"
    "%3Cpath%20d='M2,6a2,4,0,0,1,5,0l1,1H1z'/%3E%3C/svg%3E"
)

ICON = Icon(src=f"data:image/svg+xml,{_SVG}")
