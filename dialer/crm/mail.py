"""Mail with one attachment, through the server of the settings. Blocking: for workers, never for the loop."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

from dialer.errors import MailError
from dialer.settings import Mail

#: Codes below this say "later", from it on "never" (RFC 5321, 4.2.1).
_FOR_GOOD: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    #: Such as text/csv.
    media_type: str
    content: bytes


def compose(
    settings: Mail, to: Sequence[str], *, subject: str, text: str, attachment: Attachment, message_id: str
) -> EmailMessage:
    """A message; the same `message_id` sent twice is shown once by most programs."""
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(to)
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    main, _, sub = attachment.media_type.partition("/")
    message.add_attachment(attachment.content, maintype=main, subtype=sub, filename=attachment.name)
    return message


def send(settings: Mail, message: EmailMessage) -> None:
    """Hand a message to the server; when this returns the server has it.

    Raises:
        MailError: it has not, and whether waiting helps; the text holds no address and no password.
    """
    try:
        with _connected(settings) as server:
            if settings.username:
                server.login(settings.username, settings.password)
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise MailError(
            "the mail server takes none of the addresses", retryable=all(code < _FOR_GOOD for code in codes)
        ) from error
    except smtplib.SMTPAuthenticationError as error:
        raise MailError("the mail server refused user and password of [mail]", retryable=False) from error
    except smtplib.SMTPResponseException as error:
        raise MailError(f"the mail server answered {error.smtp_code}", retryable=error.smtp_code < _FOR_GOOD) from error
    except smtplib.SMTPNotSupportedError as error:
        raise MailError(
            "the mail server does not know what [mail] asks of it, such as STARTTLS", retryable=False
        ) from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(f"the mail server is out of reach ({type(error).__name__})") from error
    if refused:
        raise MailError(f"the mail server took the mail, but not for {len(refused)} of the addresses", retryable=False)


def _connected(settings: Mail) -> smtplib.SMTP:
    trusted = ssl.create_default_context()
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_s, context=trusted)
    server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
    if settings.security == "starttls":
        try:
            server.starttls(context=trusted)
        except BaseException:
            server.close()
            raise
    return server
