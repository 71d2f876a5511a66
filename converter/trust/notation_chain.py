"""Requirements on the certificates of a notation signature (signature-specification.md, "Certificate Requirements").

They apply to every chain, whoever vouches for it; ``certificates`` checks whether a trusted root does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from converter.errors import Invalid
from converter.trust.certificates import extension_of, is_issued_by, public_key, subject_of
from converter.trust.libraries import ec, rsa, x509

_RSA = {2048: "PS256", 3072: "PS384", 4096: "PS512"}
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_ONLY_TO_SIGN = ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")


def check_chain(chain: Sequence[x509.Certificate], algorithm: str) -> None:
    """Check a chain, the signer first and the root last; raises Invalid, also if ``algorithm`` is not the key's."""
    for child, parent in pairwise(chain):
        if not is_issued_by(child, parent):
            raise Invalid(f'chain of certificates: "{subject_of(parent)}" has not signed the one before it')
    if not is_issued_by(chain[-1], chain[-1]):
        raise Invalid(f'chain of certificates ends with "{subject_of(chain[-1])}", which is not a root')
    _check_signer(chain[0])
    for one in chain[1:]:
        _check_ca(one)
    wanted = _algorithm(chain[0])
    if algorithm != wanted:
        raise Invalid(f'algorithm "{algorithm[:20]}" does not go with the signer\'s key: expected {wanted}')


def _check_signer(certificate: x509.Certificate) -> None:

    who = subject_of(certificate)
    constraints, usage = extension_of(certificate, x509.BasicConstraints), extension_of(certificate, x509.KeyUsage)
    if constraints is not None and constraints.value.ca:
        raise Invalid(f'signature by "{who}", which is a CA and not a signer')
    if usage is None or not usage.critical or not usage.value.digital_signature:
        raise Invalid(f'certificate of "{who}": expected a critical key usage digitalSignature')
    if any(getattr(usage.value, name) for name in _ONLY_TO_SIGN):
        raise Invalid(f'certificate of "{who}": its key may do more than sign')
    purposes = extension_of(certificate, x509.ExtendedKeyUsage)
    purpose = x509.oid.ExtendedKeyUsageOID
    others = {
        purpose.ANY_EXTENDED_KEY_USAGE,
        purpose.SERVER_AUTH,
        purpose.CLIENT_AUTH,
        purpose.EMAIL_PROTECTION,
        purpose.TIME_STAMPING,
    }
    if purposes is not None and others & set(purposes.value):
        raise Invalid(f'certificate of "{who}" is for other purposes than code signing, too')


def _check_ca(certificate: x509.Certificate) -> None:

    who = subject_of(certificate)
    constraints, usage = extension_of(certificate, x509.BasicConstraints), extension_of(certificate, x509.KeyUsage)
    if constraints is None or not constraints.critical or not constraints.value.ca:
        raise Invalid(f'certificate of "{who}": expected critical basic constraints of a CA')
    if usage is None or not usage.critical or not usage.value.key_cert_sign:
        raise Invalid(f'certificate of "{who}": expected a critical key usage keyCertSign')


def _algorithm(certificate: x509.Certificate) -> str:

    key = public_key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        return _RSA.get(key.key_size, f"a key of {' or '.join(map(str, _RSA))} bits")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, f"a key on {' or '.join(_CURVES)}")
    return "a key of RSA or ECDSA"
