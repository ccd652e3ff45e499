"""Patterns of personal data: addresses, telephone, account and card numbers in a text.

A pattern proposes, a check disposes: check sums, the plans of telephone numbers and the forms of
network addresses are those of well-kept libraries. What is done with what is found is decided in
`personal`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from importlib.util import find_spec
from ipaddress import ip_address

from ragft.types import RagftError

Span = tuple[int, int, str]
"""Start and end in the text, in characters, and kind."""

KINDS = ("EMAIL", "PHONE", "IBAN", "CARD", "IP", "URL")
"""What can be looked for."""
REGIONS = ("US", "GB")
"""Countries whose national telephone numbers are known by default. Each further one finds more of
other numbers too: 0.59790391 is well formed as a French telephone number."""
_EXTRA = ("phonenumbers", "stdnum")  # the modules that the extra brings
_FEW_DIGITS = 7  # no telephone number that can be told from another number has fewer

_EMAIL = re.compile(
    r"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@(?:\w(?:[\w-]{0,61}\w)?\.)+(?:xn--[\w-]{2,59}|[^\W\d_]{2,63})"
)
_URL = re.compile(r"(?:\b[a-z][a-z+]{1,9}://|\bwww\.)[^\s<>\"'`)\]}]*[^\s<>\"'`)\]}.,;:!?]", re.I)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.I)
_CARD = re.compile(r"(?<![\w.-])(?:[3-6]|2(?=[2-7]))\d?(?:[ -]?\d){11,17}(?!\w|[.-]\d)")
# Looked for at every place, because a wrong one may begin before a right one.
_IBAN = re.compile(r"(?<!\w)(?=([A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30})(?!\w))")


def spans(
    kinds: Collection[str] = KINDS, regions: Sequence[str] = REGIONS
) -> Callable[[str], list[Span]]:
    """Return a function that finds personal data of some kinds in a text; spans may overlap.

    - EMAIL: a local part, @, and a domain of at least two parts.
    - PHONE: international numbers (+44 ...) that the plan of their country has; national ones
      of `regions`, in the groups in which they are written there, or in none.
    - IBAN: of the country's length, with the right check digits, spaces allowed.
    - CARD: 13 to 19 digits that begin as payment cards do, with the right Luhn digit; one in ten
      other numbers of that length has it too.
    - IP: version 4 and, of three groups or more, version 6; not loopback or unspecified. A
      version of four parts (1.2.3.4) looks the same.
    - URL: with a scheme or www.

    Parameters
    ----------
    kinds : collection of str
        Of `KINDS`.
    regions : sequence of str
        ISO 3166 codes; see `personal.find`.

    Raises
    ------
    RagftError
        A kind or a region that is not known, or the extra `pii` is not installed.

    Source: the kinds and proposals are those of presidio-analyzer's pattern recognisers; checks
    are by phonenumbers (telephone), python-stdnum (IBAN, Luhn) and ipaddress.

    Examples
    --------
    >>> spans(["IP"])("from 192.168.0.7, version 1.2.3")
    [(5, 16, 'IP')]
    """
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise RagftError(f"kinds: {', '.join(unknown)} not known; choose of {', '.join(KINDS)}")
    if missing := [name for name in _EXTRA if find_spec(name) is None]:
        raise RagftError(f"personal data needs {' and '.join(missing)}: pip install 'ragft[pii]'")
    if "PHONE" in kinds:
        _check(regions)
    makers = {
        "EMAIL": lambda text: _places(_EMAIL, text),
        "PHONE": lambda text: _phones(text, regions),
        "IBAN": _ibans,
        "CARD": _cards,
        "IP": _addresses,
        "URL": lambda text: _places(_URL, text),
    }
    chosen = [kind for kind in KINDS if kind in kinds]
    return lambda text: [(*place, kind) for kind in chosen for place in makers[kind](text)]


def _check(regions: Sequence[str]) -> None:
    from phonenumbers import SUPPORTED_REGIONS

    if unknown := [region for region in regions if region not in SUPPORTED_REGIONS]:
        raise RagftError(f"regions: {', '.join(unknown)} not known; give codes such as 'US', 'GB'")


def _places(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    return (match.span() for match in pattern.finditer(text))


def _phones(text: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    if sum(map(str.isdigit, text)) < _FEW_DIGITS:
        return
    # a national number must be written in the groups of its country, or in none
    asked = {None: Leniency.VALID} | dict.fromkeys(regions, Leniency.STRICT_GROUPING)
    found = {
        (match.start, match.end)
        for region, leniency in asked.items()
        for match in PhoneNumberMatcher(text, region, leniency=leniency)
    }
    for start, end in sorted(found):  # a bracket that does not close within is none of the number
        yield start + (text[start] in "([" and not re.search(r"[)\]]", text[start:end])), end


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    from stdnum import iban

    for match in _IBAN.finditer(text):
        proposed = match[1]
        ends = (m.end() for m in re.finditer(r"[A-Z0-9](?= |$)", proposed))
        # words in capitals may stand behind it
        for end in sorted(ends, reverse=True):
            if iban.is_valid(proposed[:end]):
                yield match.start(), match.start() + end
                break


def _cards(text: str) -> Iterator[tuple[int, int]]:
    from stdnum import luhn

    for match in _CARD.finditer(text):
        if luhn.is_valid(re.sub(r"[ -]", "", match[0])):
            yield match.span()


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                address = ip_address(match[0])
            except ValueError:
                continue
            groups = [part for part in re.split(r"[.:]", match[0]) if part]
            if len(groups) > 2 and not (address.is_loopback or address.is_unspecified):
                yield match.span()
