"""A provider of sign-ins (oidc-provider-mock, by itself a whole OpenID Connect provider on Authlib), and the browser of a person.

The provider takes every client and every subject; what a test wants in a token it sets as claims of the person. It does not check PKCE by
itself, so its door does: a code without its verifier is exchanged for nothing (RFC 7636 §4.6).
"""

import base64
import contextlib
import hashlib
import html
import io
import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
import warnings

import werkzeug.serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import oidc_provider_mock


class Pkce:
    """Lets a code be exchanged only with the verifier whose SHA-256 came with the question for it."""

    def __init__(self, app):
        self.app = app
        self.challenges = {}
        self.exchanged = 0
        self.asked = {}

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        query = urllib.parse.parse_qs(environ["QUERY_STRING"])
        if path == "/oauth2/authorize" and environ["REQUEST_METHOD"] == "POST":
            return self.authorize(query, environ, start_response)
        if path == "/oauth2/token":
            length = int(environ.get("CONTENT_LENGTH") or 0)
            body = environ["wsgi.input"].read(length)
            form = urllib.parse.parse_qs(body.decode())
            verifier = form.get("code_verifier", [""])[0]
            challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
            if self.challenges.pop(form["code"][0], None) != challenge:
                start_response("400 Bad Request", [("Content-Type", "application/json")])
                return [b'{"error": "invalid_grant"}']
            self.exchanged += 1
            environ["wsgi.input"] = io.BytesIO(body)
        return self.app(environ, start_response)

    def authorize(self, query, environ, start_response):
        assert query["code_challenge_method"] == ["S256"] and query["response_type"] == ["code"]
        assert len(query["state"][0]) >= 16 and len(query["nonce"][0]) >= 16
        self.asked = {name: values[0] for name, values in query.items()}

        def remember(status, headers, *rest):
            location = dict(headers).get("Location", "")
            code = urllib.parse.parse_qs(urllib.parse.urlparse(location).query).get("code")
            if code:
                self.challenges[code[0]] = query["code_challenge"][0]
            return start_response(status, headers, *rest)

        return self.app(environ, remember)


class Provider:
    """A running provider."""

    def __init__(self, server, pkce):
        self.server = server
        self.pkce = pkce
        self.url = f"http://localhost:{server.server_port}"

    @property
    def port(self):
        return self.server.server_port

    def claims(self, subject, **claims):
        """What its tokens say of a person from now on, beside what they always say."""
        request = urllib.request.Request(
            f"{self.url}/users/{subject}", method="PUT", data=json.dumps(claims).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()


@contextlib.contextmanager
def provider(port=0):
    """Serves one until the end of the block; with the port of another, in its place and with other keys."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pkce = Pkce(oidc_provider_mock.app())
    server = werkzeug.serving.make_server("localhost", port, pkce, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Provider(server, pkce)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments, **named):
        return None


def consent(url, subject, action="authorize"):
    """What a person does in a browser: opens the address, says who they are, and is sent to an address of the console."""
    page = urllib.request.urlopen(url).read().decode()
    assert "<form" in page, html.unescape(re.sub("<[^>]+>", " ", page))
    form = urllib.parse.urlencode({"sub": subject, "action": action}).encode()
    try:
        urllib.request.build_opener(NoRedirect).open(urllib.request.Request(url, data=form))
    except urllib.error.HTTPError as answer:
        assert answer.code in (302, 303), answer
        return answer.headers["Location"]
    raise AssertionError("no redirect")


def token_of(provider, subject, client_id="atena"):
    """The ID token of a whole sign-in by somebody who is not our console."""
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    redirect = "http://127.0.0.1:9/callback"
    query = urllib.parse.urlencode({
        "response_type": "code", "client_id": client_id, "redirect_uri": redirect, "scope": "openid",
        "state": "s" * 22, "nonce": "n" * 22, "code_challenge": challenge, "code_challenge_method": "S256",
    })
    location = consent(f"{provider.url}/oauth2/authorize?{query}", subject)
    code = urllib.parse.parse_qs(urllib.parse.urlparse(location).query)["code"][0]
    form = urllib.parse.urlencode({
        "grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "client_id": client_id,
        "code_verifier": verifier, "client_secret": "any",
    }).encode()
    return json.load(urllib.request.urlopen(f"{provider.url}/oauth2/token", data=form))["id_token"]
