"""The reason given by the operating system or TLS, without the additions of libraries."""

import os
import socket
import ssl


def os_reason(error: BaseException) -> str:
    """Such as `Connection refused`, or OpenSSL's objection to a certificate; no addresses, no URL."""
    match error:
        case ssl.SSLCertVerificationError():
            return error.verify_message
        case ssl.SSLError() | socket.gaierror():
            return error.strerror or type(error).__name__
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return type(error).__name__
