"""A mail server (aiosmtpd) for tests: says on stdout what it was told, one JSON object a line, the first with its port.

Usage: smtp_server.py CERT KEY [--plain] [--tls] [--login USER PASSWORD]

The first part of an address says what becomes of it: a recipient `later@` or `never@` is refused with 450 or 550, a
sender `throttled@` or `rejected@` with 451 or 554 after the message, a sender `silent@` gets no answer to the message,
and of a sender `dropped@` the connection breaks before the answer.
"""

import argparse
import asyncio
import json
import ssl
from email import message_from_bytes
from email.policy import default

from aiosmtpd.smtp import SMTP, AuthResult


def say(**what):
    print(json.dumps(what), flush=True)


def text(part):
    return part.get_content().replace("\r\n", "\n")


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        refusals = {"later": "450 4.2.1 mailbox busy", "never": "550 5.1.1 no such user"}
        refusal = refusals.get(address.partition("@")[0])
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=default)
        say(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            encrypted=session.ssl is not None,
            ehlo=session.host_name,
            login=session.authenticated,
            headers=[[name, str(value)] for name, value in message.items()],
            type=message.get_content_type(),
            parts={part.get_content_type(): text(part) for part in message.iter_parts()},
            defects=[repr(defect) for defect in message.defects],
        )
        who = envelope.mail_from.partition("@")[0]
        if who == "silent":
            await asyncio.sleep(3600)
        if who == "dropped":
            server.transport.abort()
            await asyncio.sleep(3600)
        return {
            "throttled": "451 4.7.1 too many messages",
            "rejected": "554 5.7.1 not wanted here",
        }.get(who, "250 2.0.0 queued as 4711")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cert")
    parser.add_argument("key")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--login", nargs=2)
    asked = parser.parse_args()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(asked.cert, asked.key)

    def authenticate(server, session, envelope, mechanism, data):
        expected = [word.encode() for word in asked.login]
        # Not "handled": the refusal is the server's to say.
        return AuthResult(success=[data.login, data.password] == expected, handled=False)

    starts_tls = not asked.plain and not asked.tls

    def session():
        return SMTP(
            Handler(),
            hostname="mail.test",
            loop=loop,
            tls_context=context if starts_tls else None,
            require_starttls=starts_tls,
            authenticator=authenticate if asked.login else None,
            auth_required=bool(asked.login),
            auth_require_tls=starts_tls,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if asked.tls else None)
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
