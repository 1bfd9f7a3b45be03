"""People sign in at a real OpenID Connect provider, in a browser, and are who they are in the log.

The console is the real program; the browser is played with the requests that one would send.
"""

import base64
import datetime
import json
import os
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request

import grpc
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from conftest import BINARY, Town, reason
from provider import consent, provider, token_of

TODAY = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=9))).date()


def account(id, roles, days=30, began=30, subject=None):
    lines = [
        "[[account]]", f'id = "{id}"', 'division = "監査事務局"', f"roles = {json.dumps(roles)}",
        f'oidc_subject = "{subject or "sub-" + id}"',
        f"valid_from = {TODAY - datetime.timedelta(days=began)}", f"expires = {TODAY + datetime.timedelta(days=days)}",
    ]
    return "\n".join(lines) + "\n"


ACCOUNTS = "\n".join([
    account("aud1", ["auditor"]),
    account("aud2", ["auditor-with-content"]),
    account("info1", ["information-manager"]),
    account("oper1", ["operator"]),
    account("old1", ["auditor"], days=-1),
    account("new1", ["auditor"], began=-1),
])


class SignInTown(Town):
    """A town whose people sign in at a provider."""

    def __init__(self, home, contract, issuer, settings=""):
        subprocess.run([BINARY, "init", "--home", str(home)], check=True, capture_output=True)
        (home / "people.toml").write_text(ACCOUNTS)
        (home / "oidc.secret").write_text("any\n")
        (home / "oidc.secret").chmod(0o600)
        with (home / "atena.toml").open("a") as file:
            file.write(f'\n[oidc]\nissuer = "{issuer}"\nclient_id = "atena"\nclient_secret_file = "oidc.secret"\n{settings}')
        self.serve(home, contract)

    def run(self, *arguments):
        command = [BINARY, *arguments, "--home", str(self.home)]
        return subprocess.run(command, capture_output=True, text=True)

    def ask(self, *arguments, console="console"):
        return self.run(*arguments, "--server", self.address, "--as", console, "--json")

    def begin(self, *arguments):
        """Starts `atena login`, and reads the address that it prints."""
        command = [BINARY, "login", "--home", str(self.home), "--json", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        return process, json.loads(line)["open"] if line else None

    def sign_in(self, subject, *arguments):
        process, url = self.begin(*arguments)
        page = urllib.request.urlopen(consent(url, subject))
        assert page.status == 200 and page.headers["Cache-Control"] == "no-store"
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return json.loads(output)

    def with_token(self, token, system="console"):
        """What somebody is answered who sends this token."""
        request = self.contract.ListTransfersRequest(page_size=1)
        stub = self.transfers(system)
        try:
            stub.ListTransfers(request, metadata=[("authorization", f"Bearer {token}")])
            return "OK"
        except grpc.RpcError as error:
            return reason(error)

    def recorded(self, filter):
        return list(self.transfers().ListTransfers(self.contract.ListTransfersRequest(filter=filter, page_size=1000)).transfers)


@pytest.fixture(scope="module")
def idp():
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def town(tmp_path_factory, contract, idp):
    town = SignInTown(tmp_path_factory.mktemp("town") / "home", contract, idp.url)
    yield town
    assert town.stop() == 0


def encode(part):
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def parts(token):
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


def test_an_auditor_signs_in_reads_the_log_and_signs_out(town, idp):
    refused = town.ask("transfers")
    assert refused.returncode == 1 and "SIGN_IN_REQUIRED" in refused.stderr and "atena login" in refused.stderr
    exchanged = idp.pkce.exchanged
    told = town.sign_in("sub-aud1")
    assert idp.pkce.exchanged == exchanged + 1, "the code was exchanged with its PKCE verifier"
    assert idp.pkce.asked["max_age"] == "36000" and "prompt" not in idp.pkce.asked
    assert idp.pkce.asked["redirect_uri"].startswith("http://127.0.0.1:")
    assert datetime.datetime.fromisoformat(told["signed_in_until"]) > datetime.datetime.now(datetime.timezone.utc)
    session = town.home / "sessions" / "console"
    assert stat.S_IMODE(session.stat().st_mode) == 0o600
    answer = town.ask("transfers")
    assert answer.returncode == 0, answer.stderr
    assert "signed in as aud1 (監査事務局) until " in answer.stderr, "a console says whose sign-in it uses"
    [record] = town.recorded('operator_id = "aud1"')
    c = town.contract
    assert (record.system_id, record.operator_proof, record.division) == ("console", c.OPERATOR_PROOF_SIGN_IN, "監査事務局")
    for refused_for in ["pull", "entitlements"]:
        refused = town.ask(refused_for)
        assert "ROLE_REQUIRED" in refused.stderr, refused.stderr
    assert town.run("logout").returncode == 0
    assert not session.exists()
    assert "SIGN_IN_REQUIRED" in town.ask("transfers").stderr


@pytest.mark.parametrize("id, answer", [
    ("aud1", "OK"), ("aud2", "OK"), ("info1", "ROLE_REQUIRED"), ("oper1", "ROLE_REQUIRED"), ("old1", "CALLER_REVOKED"),
    ("new1", "CALLER_REVOKED"), ("nobody", "CALLER_UNKNOWN"),
])
def test_an_account_opens_what_its_role_gives_and_only_in_its_time(town, idp, id, answer):
    before = len(town.recorded(f'operator_id = "{id}"'))
    assert town.with_token(token_of(idp, f"sub-{id}")) == answer
    recorded = town.recorded(f'operator_id = "{id}"')
    assert len(recorded) == before + (id != "nobody"), "who is known is named, also where they are refused"
    if id != "nobody":
        assert recorded[0].reason == ("" if answer == "OK" else answer)


def test_an_operator_acts_at_the_machine_and_the_admin_log_names_the_account(town, tmp_path):
    def export(name):
        return town.run("log", "export", "--as", "console", "--out", str(tmp_path / name))

    for subject, told in [(None, "nobody is signed in"), ("sub-aud1", "does not have the role operator"), ("sub-nobody", "no such account")]:
        if subject:
            town.sign_in(subject)
        refused = export("refused")
        assert refused.returncode == 1 and told in refused.stderr, refused.stderr
        assert not (tmp_path / "refused").exists()
    town.sign_in("sub-oper1")
    done = export("copy")
    assert done.returncode == 0 and (tmp_path / "copy" / "checkpoint").exists(), done.stderr
    session = town.home / "sessions" / "console"
    token = session.read_text()
    header, payload, signature = token.split(".")
    session.write_text(".".join([header, payload, signature[::-1]]))
    refused = export("forged")
    assert refused.returncode == 1 and "is not believed" in refused.stderr, refused.stderr
    town.run("logout")
    records = [json.loads(line) for line in town.run("log", "admin", "--action", "Log/Export", "--json").stdout.splitlines()]
    assert [(it["actor"], it["proof"], it["outcome"]) for it in records] == [
        ("account:oper1", "sign-in", "BEGUN"), ("account:oper1", "sign-in", "DONE")]


def test_an_information_manager_reads_the_rules(town):
    town.sign_in("sub-info1")
    answer = town.ask("entitlements")
    assert answer.returncode == 0, answer.stderr
    assert {json.loads(line)["system"] for line in answer.stdout.splitlines()} >= {"resident-tax", "public-assistance"}
    town.run("logout")


def test_tokens_that_are_not_of_the_provider_for_this_gateway_are_refused(town, idp):
    good = token_of(idp, "sub-aud1")
    header, claims, signature = parts(good)
    assert town.with_token(good) == "OK"
    now = int(time.time())
    for wrong in [
        {"aud": "another"}, {"aud": ["atena", "another"]}, {"iss": "http://localhost:1"}, {"exp": now - 1}, {"azp": "another"},
        {"iat": now + 3600}, {"auth_time": now - 36_060}, {"auth_time": now + 3600},
    ]:
        # Signed by the provider's own key, and still not to be believed.
        idp.claims("sub-aud1", **wrong)
        assert town.with_token(token_of(idp, "sub-aud1")) == "SIGN_IN_REQUIRED", wrong
    idp.claims("sub-aud1")
    body = good.rsplit(".", 1)[0].split(".")[1]
    none = encode(json.dumps({**json.loads(header), "alg": "none"}).encode())
    foreign = rsa.generate_private_key(65537, 2048)
    shared = encode(json.dumps({**json.loads(header), "alg": "HS256"}).encode())
    mac = hmac.HMAC(b"atena", hashes.SHA256())
    mac.update(f"{shared}.{body}".encode())
    mac_of_key = hmac.HMAC(urllib.request.urlopen(f"{idp.url}/jwks").read(), hashes.SHA256())
    mac_of_key.update(f"{shared}.{body}".encode())
    signing = good.rsplit(".", 1)[0]
    forged = [
        f"{none}.{body}.",
        f"{none}.{body}.{encode(signature)}",
        f"{signing}.",
        signing,
        f"{signing}.{encode(foreign.sign(signing.encode(), padding.PKCS1v15(), hashes.SHA256()))}",
        f"{shared}.{body}.{encode(mac.finalize())}",
        f"{shared}.{body}.{encode(mac_of_key.finalize())}",
        good.replace(body, encode(json.dumps({**json.loads(claims), "sub": "sub-aud2"}).encode())),
        "", "x", "a.b.c", good + "x", "A" * 4000,
    ]
    for token in forged:
        assert town.with_token(token) == "SIGN_IN_REQUIRED", token[:40]
    refused = town.recorded('reason = "SIGN_IN_REQUIRED"')
    assert len(refused) >= len(forged)
    assert all(record.system_id == "console" and record.operator_id == "" for record in refused), "nobody was proved"
    assert town.with_token(good, system="auditor") == "INVALID_FIELD", "a token goes through a console and nothing else"


def test_content_is_shown_only_to_who_signed_in_just_before(town, idp):
    c = town.contract
    town.register("pension", "P1", name="町田　花子")
    [pushed] = town.push(c.PushedRecord(
        local_address_number="P1", record_key="P-1", revision=1,
        payment=c.Payment(basic_pension_number="1234567890", fiscal_year=2025,
                          months=[c.PaymentMonth(month="2025-04", status="B", amount_yen=17910)]),
    ))
    assert pushed.transfer_id, pushed
    request = c.ReconstructTransferRequest(transfer_id=pushed.transfer_id)

    def reconstruct(subject, **claims):
        idp.claims(subject, **claims)
        metadata = [("authorization", f"Bearer {token_of(idp, subject)}")]
        try:
            return town.transfers("console").ReconstructTransfer(request, metadata=metadata)
        except grpc.RpcError as error:
            return reason(error)

    now = int(time.time())
    assert reconstruct("sub-aud2", auth_time=now - 601 - 60) == "SIGN_IN_REQUIRED"
    assert reconstruct("sub-aud2", auth_time=None) == "SIGN_IN_REQUIRED", "nobody knows when they signed in"
    assert reconstruct("sub-aud1", auth_time=now) == "ROLE_REQUIRED"
    answer = reconstruct("sub-aud2", auth_time=now)
    assert not isinstance(answer, str), answer
    assert answer.content_sha256
    idp.claims("sub-aud2")
    town.sign_in("sub-aud2", "--again")
    assert idp.pkce.asked["prompt"] == "login" and idp.pkce.asked["max_age"] == "0"
    town.run("logout")


def test_what_is_not_the_answer_to_this_sign_in_changes_nothing(town, idp):
    process, url = town.begin()
    location = consent(url, "sub-aud1")
    address = location.split("/callback")[0]
    for wrong in ["/callback", "/callback?code=x", "/callback?code=x&state=wrong", "/callback?error=x&state=wrong"]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address + wrong)
        assert refused.value.code == 400
    assert process.poll() is None, "it goes on waiting for its own answer"
    assert urllib.request.urlopen(location).status == 200
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    town.run("logout")

    process, url = town.begin()
    denied = consent(url, "sub-aud1", action="deny")
    assert "state=" not in denied, "this provider forgets it in a refusal; RFC 6749 §4.1.2.1 asks for it"
    urllib.request.urlopen(f"{denied}&state={url.split('state=')[1].split('&')[0]}").close()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "access_denied" in errors
    # A code that somebody else's sign-in got is worth nothing here: its verifier is not ours.
    process, url = town.begin()
    other, other_url = town.begin()
    stolen = consent(other_url, "sub-aud1").split("code=")[1].split("&")[0]
    state = url.split("state=")[1].split("&")[0]
    port = url.split("127.0.0.1%3A")[1].split("%2F")[0]
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/callback?code={stolen}&state={state}").status == 200
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "no ID token" in errors, errors
    other.send_signal(signal.SIGTERM)
    other.communicate()
    assert not (town.home / "sessions" / "console").exists()


def test_a_token_is_in_no_log(town, idp):
    """number-confinement for tokens: at log level trace nothing of one is written anywhere but in its session."""
    token = town.sign_in("sub-aud1") and (town.home / "sessions" / "console").read_text()
    answer = subprocess.run(
        [BINARY, "transfers", "--home", str(town.home), "--server", town.address, "--as", "console"],
        capture_output=True, env={**os.environ, "RUST_LOG": "trace"},
    )
    assert answer.returncode == 0
    town.with_token(token + "x")
    pieces = [piece.encode() for piece in token.split(".")]
    for name, content in [("stdout", answer.stdout), ("stderr", answer.stderr)] + [
        (str(path), path.read_bytes()) for path in town.home.rglob("*") if path.is_file() and path.parent.name != "sessions"
    ]:
        assert not any(piece in content for piece in pieces), name
        assert b"sub-aud1" not in content or name.endswith("people.toml"), name
    (town.home / "oidc.secret").chmod(0o640)
    process, url = town.begin()
    assert url is None and "chmod 600" in process.communicate(timeout=60)[1]
    (town.home / "oidc.secret").chmod(0o600)
    session = town.home / "sessions" / "console"
    session.chmod(0o644)
    assert "can be read by others" in town.ask("transfers").stderr
    town.run("logout")


def test_while_the_provider_is_away_known_keys_go_on_and_unknown_ones_let_nobody_in(tmp_path, contract):
    with provider() as first:
        town = SignInTown(tmp_path / "home", contract, first.url)
        token = token_of(first, "sub-aud1")
        assert town.with_token(token) == "OK"
        port = first.port
    assert town.with_token(token) == "OK", "the provider is away, its keys are known"
    assert town.stop() == 0
    town.serve(town.home, contract)
    assert town.with_token(token) == "SIGN_IN_UNAVAILABLE", "nobody knows its keys: fail closed"
    assert town.recorded('reason = "SIGN_IN_UNAVAILABLE"')
    # It comes back with other keys: those of before are nobody's any more.
    with provider(port) as second:
        fresh = token_of(second, "sub-aud1")
        while (answer := town.with_token(fresh)) == "SIGN_IN_UNAVAILABLE":
            pass
        assert answer == "OK"
        assert town.with_token(token) == "SIGN_IN_REQUIRED"
    # And changes them while the gateway serves: a token that names none of those that are known makes it ask again.
    with provider(port) as third:
        newest = token_of(third, "sub-aud1")
        while (answer := town.with_token(newest)) == "SIGN_IN_REQUIRED":
            pass
        assert answer == "OK"
    assert town.stop() == 0


def test_a_provider_that_is_not_what_the_settings_say_is_believed_nothing(tmp_path, contract, idp):
    town = SignInTown(tmp_path / "home", contract, idp.url + "/")
    assert town.with_token(token_of(idp, "sub-aud1")) == "SIGN_IN_UNAVAILABLE"
    process, url = town.begin()
    _, errors = process.communicate(timeout=60)
    assert url is None and process.returncode == 1 and "does not say of itself what it should" in errors
    assert town.stop() == 0
    settings = town.home / "atena.toml"
    text = settings.read_text()
    for wrong, told in [
        ('algorithms = ["none"]', "unknown variant `none`"), ('algorithms = ["HS256"]', "unknown variant `HS256`"),
        ("algorithms = []", "algorithms"), ('secret = "x"', "unknown field `secret`"),
    ]:
        settings.write_text(f"{text}{wrong}\n")
        refused = town.run("serve", "--listen", "127.0.0.1:0")
        assert refused.returncode == 1 and told in refused.stderr, refused.stderr
    settings.write_text(text.replace(idp.url, "https://login.city.example"))
    refused = town.run("serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 1 and "ca_file" in refused.stderr, refused.stderr
