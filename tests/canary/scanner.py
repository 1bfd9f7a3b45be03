"""Looks for planted values in bytes, in every form in which software writes them down by accident."""

import base64
import gzip
import io
import tarfile
from pathlib import Path

import ahocorasick

WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def base64_forms(data):
    """What base64 makes of it wherever it stands in a longer text: the characters that do not depend on its neighbours."""
    forms = []
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + data)
        start = (offset * 8 + 5) // 6
        end = (offset + len(data)) * 8 // 6
        forms += [encoded[start:end], encoded[start:end].translate(bytes.maketrans(b"+/", b"-_"))]
    return forms


def text_forms(text):
    """Every form of a text."""
    utf8 = text.encode()
    yield "UTF-8", utf8
    yield "UTF-16LE", text.encode("utf-16-le")
    yield "UTF-16BE", text.encode("utf-16-be")
    yield "hex", utf8.hex().encode()
    yield "HEX", utf8.hex().upper().encode()
    yield "\\x", "".join(f"\\x{byte:02x}" for byte in utf8).encode()
    yield "URL", "".join(f"%{byte:02X}" for byte in utf8).encode()
    yield "bytes in brackets", ", ".join(str(byte) for byte in utf8).encode()
    if not text.isascii():
        yield "JSON", "".join(f"\\u{unit:04x}" for unit in memoryview(text.encode("utf-16-le")).cast("H")).encode()
        yield "Rust", "".join(f"\\u{{{ord(char):x}}}" for char in text).encode()
        yield "Shift_JIS", text.encode("cp932")
    for form in base64_forms(utf8):
        yield "base64", form


def number_forms(digits):
    """Every form of a number."""
    yield from text_forms(digits)
    yield "full-width", digits.translate(WIDE).encode()
    yield "full-width UTF-16LE", digits.translate(WIDE).encode("utf-16-le")
    for separator in "- ":
        yield "grouped", separator.join(digits[at:at + 4] for at in range(0, 12, 4)).encode()
    value = int(digits)
    if digits[0] != "0":
        yield "thousands", f"{value:,}".encode()
    yield "varint", varint(value)
    yield "fixed64", value.to_bytes(8, "little")
    yield "fixed64 BE", value.to_bytes(8, "big")
    yield "BCD", bytes.fromhex(digits)


class Scanner:
    """Finds planted numbers and texts."""

    def __init__(self, numbers, texts=()):
        forms_of = {}
        for planted, forms in [*((n, number_forms(n)) for n in numbers), *((t, text_forms(t)) for t in texts)]:
            for form, pattern in forms:
                # Two forms may be the same bytes.
                forms_of.setdefault(pattern.decode("latin-1"), set()).add((form, planted))
        self.automaton = ahocorasick.Automaton()
        for pattern, forms in forms_of.items():
            self.automaton.add_word(pattern, forms)
        self.automaton.make_automaton()

    def planted(self, data):
        """The forms that occur, each with what occurs in it; archives are looked into."""
        found = {}
        for _, forms in self.automaton.iter(data.decode("latin-1")):
            for form, planted in forms:
                found.setdefault(form, set()).add(planted)
        for inner in unpacked(data):
            for form, planted in self.planted(inner).items():
                found.setdefault(form, set()).update(planted)
        return found

    def find(self, data):
        """The forms that occur, each with how many different planted values occur in it."""
        return {form: len(planted) for form, planted in self.planted(data).items()}

    def find_in_files(self, folder, pattern="*", without=()):
        """The files below a folder in which something occurs."""
        found = {}
        for path in sorted(Path(folder).rglob(pattern)):
            if path.is_file() and not any(part in path.parts or path.name == part for part in without):
                if here := self.find(path.read_bytes()):
                    found[str(path)] = here
        return found


def unpacked(data):
    """What is inside an archive."""
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if member.isfile():
                    yield archive.extractfile(member).read()
    except tarfile.TarError:
        pass
