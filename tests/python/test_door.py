"""Certificates of every wrong kind: none of them gets an answer, and what got through TLS is in the log."""

import datetime

import grpc
import pytest
from conftest import reason
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate(town, uris, own_authority=True, until=DAY, usage=ExtendedKeyUsageOID.CLIENT_AUTH):
    """A client certificate from the town's own authority, or from another one."""
    if own_authority:
        authority = x509.load_pem_x509_certificate((town.home / "pki/ca.crt").read_bytes())
        authority_key = serialization.load_pem_private_key((town.home / "pki/ca.key").read_bytes(), None)
        issuer = authority.subject
    else:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another authority")])
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")]))
        .issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 2 * DAY).not_valid_after(NOW + until)
        .add_extension(x509.ExtendedKeyUsage([usage]), False)
    )
    if uris:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), False)
    signed = builder.sign(authority_key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM), pem(key)


def call(town, chain, key):
    credentials = grpc.ssl_channel_credentials((town.home / "pki/ca.crt").read_bytes(), key, chain)
    channel = grpc.secure_channel(town.address, credentials, options=[("grpc.ssl_target_name_override", "localhost")])
    c = town.contract
    return c.LinkageServiceStub(channel).ListEntitlements(c.ListEntitlementsRequest(), timeout=20)


RIGHT = "spiffe://132098.atena/system/resident-tax"


def test_a_certificate_of_the_right_kind_gets_in(town):
    assert call(town, *certificate(town, [RIGHT])).entitlements


@pytest.mark.parametrize("uris", [
    [], [RIGHT, RIGHT], [RIGHT, "spiffe://132098.atena/system/pension"], ["spiffe://131016.atena/system/resident-tax"],
    ["spiffe://132098.atena/system/nobody"], ["spiffe://132098.atena/system/resident-tax/"], ["https://132098.atena/system/resident-tax"],
    ["spiffe://132098.atena/system/Resident-Tax"], ["spiffe://132098.atena/System/resident-tax"], ["urn:resident-tax"],
], ids=str)
def test_an_identity_that_is_not_in_the_registry_is_unauthenticated_and_in_the_log(town, uris):
    with pytest.raises(grpc.RpcError) as refused:
        call(town, *certificate(town, uris))
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert reason(refused.value) == "CALLER_UNKNOWN"
    c = town.contract
    [latest] = town.transfers().ListTransfers(c.ListTransfersRequest(filter='reason = "CALLER_UNKNOWN"', page_size=1)).transfers
    assert latest.system_id == (uris[0] if len(uris) == 1 else "unknown")


@pytest.mark.parametrize("wrong", [
    {"own_authority": False}, {"until": -DAY}, {"usage": ExtendedKeyUsageOID.SERVER_AUTH},
], ids=str)
def test_a_certificate_that_does_not_verify_gets_no_connection(town, wrong):
    with pytest.raises(grpc.RpcError) as refused:
        call(town, *certificate(town, [RIGHT], **wrong))
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_tls_1_2_gets_no_connection(town):
    import socket
    import ssl

    host, port = town.address.rsplit(":", 1)
    context = ssl.create_default_context(cafile=town.home / "pki/ca.crt")
    context.load_cert_chain(town.home / "pki/systems/pension.crt", town.home / "pki/systems/pension.key")
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port))) as tcp, context.wrap_socket(tcp, server_hostname="localhost") as tls:
        assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", "h2")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((host, int(port))) as tcp, pytest.raises(ssl.SSLError):
        context.wrap_socket(tcp, server_hostname="localhost")
