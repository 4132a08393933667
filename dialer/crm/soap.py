"""SOAP 1.1 and 1.2, as far as two functions need it: a body in an envelope, and an answer as plain values; pure.

There is no WSDL here: the mapping holds the body of each request, copied from what the CRM's own test page shows. The
answer is read without document types and entities (the only way to make a small document huge), within limits.
"""

from __future__ import annotations

from typing import Any, Final, Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from dialer.errors import InputError

Version = Literal["1.1", "1.2"]

_NAMESPACES: Final = {
    "http://schemas.xmlsoap.org/soap/envelope/": "1.1",
    "http://www.w3.org/2003/05/soap-envelope": "1.2",
}
_ENVELOPE: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<soap:Envelope xmlns:soap="{namespace}"><soap:Body>{body}</soap:Body></soap:Envelope>'
)
MAX_DEPTH: Final = 40
MAX_ELEMENTS: Final = 500_000
_NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class SoapFault(InputError):
    """The other side answered with a fault; the text is its own."""


def envelope(body: str, version: Version) -> bytes:
    """A request around `body`, which is XML already."""
    namespace = next(uri for uri, known in _NAMESPACES.items() if known == version)
    return _ENVELOPE.format(namespace=namespace, body=body.strip()).encode()


def headers(action: str, version: Version) -> dict[str, str]:
    """The headers of a request: the action is one in 1.1, and part of the type in 1.2."""
    if version == "1.1":
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
    return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"'}


def read(data: bytes) -> dict[str, Any]:
    """What the body of an answer holds, by the names of its elements without their namespaces.

    An element with others in it is an object, where the same name comes again a list; one with text alone is that text;
    an empty one is an empty text, and one that is nil is null. Attributes are keys with ``@``, text beside them ``#``.

    Raises:
        SoapFault: the other side could not do it.
        InputError: no SOAP, or a document that is made to do harm.
    """
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise InputError(
            "the XML defines a document type or entities, which is refused", code="crm_xml_entities"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise InputError(f"is not XML: {error}", code="crm_no_xml", problem=str(error)) from error
    namespace, _, name = root.tag[1:].partition("}") if root.tag.startswith("{") else ("", "", root.tag)
    if name != "Envelope" or namespace not in _NAMESPACES:
        raise InputError(
            f"is XML, but no SOAP envelope: its root is {name[:80]}", code="crm_no_envelope", root=name[:80]
        )
    body = root.find(f"{{{namespace}}}Body")
    if body is None:
        raise InputError("is a SOAP envelope without a body", code="crm_no_body")
    if sum(1 for _ in body.iter()) > MAX_ELEMENTS:
        raise InputError(f"has more than {MAX_ELEMENTS:,} elements", code="crm_xml_large", most=MAX_ELEMENTS)
    fault = body.find(f"{{{namespace}}}Fault")
    if fault is not None:
        raise SoapFault(f"SOAP fault: {_fault(fault)}")
    tree = _tree(body, MAX_DEPTH)
    return tree if isinstance(tree, dict) else {}


def _tree(element: Element, depth: int) -> Any:
    if depth == 0:
        raise InputError(f"is nested more than {MAX_DEPTH} deep", code="crm_xml_deep", most=MAX_DEPTH)
    if element.get(_NIL) in {"true", "1"}:
        return None
    found: dict[str, Any] = {f"@{_local(key)}": value for key, value in element.items() if not key.startswith("{")}
    for child in element:
        name, value = _local(child.tag), _tree(child, depth - 1)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    text = (element.text or "").strip()
    if not found:
        return text
    if text:
        found["#"] = text
    return found


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _fault(fault: Element) -> str:
    words = [
        (each.text or "").strip()
        for each in fault.iter()
        if _local(each.tag) in {"faultcode", "faultstring", "Text", "Value"}
    ]
    return " ".join(" ".join(words).split())[:300] or "without a reason"
