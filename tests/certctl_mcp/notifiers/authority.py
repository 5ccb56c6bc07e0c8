"""A private certificate authority, with certificates for a server and a client."""

import ssl
from pathlib import Path

import trustme


class Authority:
    """Its files, and the TLS settings of a server that has a certificate from it."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self.client_cert = str(directory / "client.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)
        client = self._authority.issue_cert("client")
        client.private_key_and_cert_chain_pem.write_to_path(self.client_cert)
        self.client_cert_alone = str(directory / "client-cert.pem")
        self.client_key = str(directory / "client-key.pem")
        Path(self.client_cert_alone).write_bytes(b"".join(pem.bytes() for pem in client.cert_chain_pems))
        client.private_key_pem.write_to_path(self.client_key)

    def server(self, *, client_certificate: bool = False) -> ssl.SSLContext:
        """`client_certificate`: require a client certificate from the authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        if client_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca_file)
        return context
