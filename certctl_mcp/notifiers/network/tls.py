"""TLS as configured for a channel: the trusted authorities and the client's own certificate."""

import ssl

from certctl_mcp.config.network import NetworkSettings


def client_context(network: NetworkSettings) -> ssl.SSLContext:
    """The context for connections of one channel.

    Raises:
        OSError: a file can't be read, or is not a certificate or key (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=network.ca_file)
    if network.ca_file is not None:
        # From Python 3.13 on, certificates of private authorities without key identifiers are otherwise
        # refused.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if network.client_cert is not None:
        context.load_cert_chain(network.client_cert, network.client_key)
    return context
