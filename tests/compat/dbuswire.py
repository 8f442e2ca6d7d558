# SPDX-License-Identifier: LGPL-2.1-or-later
"""
D-Bus messages to values and back, byte for byte: what is decoded here and encoded again is the same bytes, with the
header's fields in their order, for whoever wants to say what another program said. (Gio has an order of its own.)

    message, n = decode(data)           # a Message; None: not all of it is there yet
    message.get('member'), message.body # values as JSON has them, see below
    encode(message)                     # the same bytes

A struct or an array is a list, an array of dict entries a list of pairs, a variant {signature: value}.
"""

import struct

KINDS = {1: 'call', 2: 'return', 3: 'error', 4: 'signal'}
FIELDS = {1: ('path', 'o'), 2: ('interface', 's'), 3: ('member', 's'), 4: ('error', 's'), 5: ('reply-to', 'u'),
          6: ('destination', 's'), 7: ('sender', 's'), 8: ('signature', 'g'), 9: ('fds', 'u')}
CODES = {name: code for code, (name, _type) in FIELDS.items()}
NUMBERS = {'y': 'B', 'n': 'h', 'q': 'H', 'i': 'i', 'u': 'I', 'x': 'q', 't': 'Q', 'd': 'd', 'h': 'I', 'b': 'I'}
ALIGN = {'y': 1, 'g': 1, 'v': 1, 'n': 2, 'q': 2, 'b': 4, 'i': 4, 'u': 4, 'h': 4, 's': 4, 'o': 4, 'a': 4, 'x': 8, 't': 8,
         'd': 8, '(': 8, '{': 8}


def first_type(signature):
    """How many characters of it are the first complete type."""
    if signature[0] == 'a':
        return 1 + first_type(signature[1:])
    if signature[0] not in '({':
        return 1
    depth = 0
    for i, c in enumerate(signature):
        depth += (c in '({') - (c in ')}')
        if depth == 0:
            return i + 1
    raise ValueError(signature)


def split(signature):
    """'sa{sv}(uu)' as ['s', 'a{sv}', '(uu)']."""
    types = []
    while signature:
        n = first_type(signature)
        types.append(signature[:n])
        signature = signature[n:]
    return types


class Reader:
    def __init__(self, data, at, endian):
        self.data, self.at, self.endian = data, at, endian

    def align(self, n):
        self.at += -self.at % n

    def number(self, code):
        size = struct.calcsize(code)
        self.align(size)
        value, = struct.unpack_from(self.endian + code, self.data, self.at)
        self.at += size
        return value

    def text(self, length):
        value = self.data[self.at:self.at + length].decode()
        self.at += length + 1
        return value

    def value(self, kind):
        if kind in NUMBERS:
            value = self.number(NUMBERS[kind])
            return bool(value) if kind == 'b' else value
        if kind in 'so':
            return self.text(self.number('I'))
        if kind == 'g':
            return self.text(self.number('B'))
        if kind == 'v':
            signature = self.value('g')
            return {signature: self.value(signature)}
        if kind[0] == 'a':
            end = self.number('I')
            self.align(ALIGN[kind[1]])
            end += self.at
            values = []
            while self.at < end:
                values.append(self.value(kind[1:]))
            return values
        self.align(8)
        return [self.value(k) for k in split(kind[1:-1])]


class Writer:
    def __init__(self, endian):
        self.data, self.endian = bytearray(), endian

    def align(self, n):
        self.data += bytes(-len(self.data) % n)

    def number(self, code, value):
        self.align(struct.calcsize(code))
        self.data += struct.pack(self.endian + code, value)

    def text(self, code, value):
        value = value.encode()
        self.number(code, len(value))
        self.data += value + b'\0'

    def value(self, kind, value):
        if kind in NUMBERS:
            self.number(NUMBERS[kind], value)
        elif kind in 'so':
            self.text('I', value)
        elif kind == 'g':
            self.text('B', value)
        elif kind == 'v':
            (signature, content), = value.items()
            self.value('g', signature)
            self.value(signature, content)
        elif kind[0] == 'a':
            self.number('I', 0)
            length_at = len(self.data) - 4
            self.align(ALIGN[kind[1]])
            began = len(self.data)
            for item in value:
                self.value(kind[1:], item)
            struct.pack_into(self.endian + 'I', self.data, length_at, len(self.data) - began)
        else:
            self.align(8)
            for k, item in zip(split(kind[1:-1]), value, strict=True):
                self.value(k, item)


class Message:
    """head: [name, value] for each header field, in order; fds: whatever the caller has put there."""

    def __init__(self, kind, serial, head, body=(), *, flags=0, big=False):
        self.kind, self.serial, self.head, self.body = kind, serial, [list(f) for f in head], list(body)
        self.flags, self.big, self.fds = flags, big, []

    def get(self, name, default=None):
        return next((value for n, value in self.head if n == name), default)

    def set(self, name, value):
        """At the place where it is, else at the end."""
        for field in self.head:
            if field[0] == name:
                field[1] = value
                return
        self.head.append([name, value])

    @property
    def signature(self):
        return self.get('signature', '')

    def is_(self, kind, interface=None, member=None):
        return self.kind == kind and interface in (None, self.get('interface')) and \
            member in (None, self.get('member'))

    def __str__(self):
        return f'{self.kind} {self.serial} {dict(self.head)} {self.body}'


def size_of(data):
    """Of the message that begins so; None where that is not known yet."""
    if len(data) < 16:
        return None
    endian = '<' if data[0:1] == b'l' else '>'
    body, _serial, fields = struct.unpack_from(endian + 'III', data, 4)
    return 16 + fields + -fields % 8 + body


def decode(data):
    """(Message, its size), or None."""
    size = size_of(data)
    if size is None or len(data) < size:
        return None
    endian = '<' if data[0:1] == b'l' else '>'
    reader = Reader(data, 8, endian)
    serial = reader.number('I')
    head = [[FIELDS[code][0], next(iter(value.values()))] for code, value in reader.value('a(yv)')]
    reader.align(8)
    message = Message(KINDS[data[1]], serial, head, flags=data[2], big=endian == '>')
    # alignment counts from the body's beginning, which is a multiple of eight
    message.body = [reader.value(kind) for kind in split(message.signature)]
    if reader.at != size:
        raise ValueError(f'{size - reader.at} bytes too many: {message}')
    return message, size


def encode(message):
    endian = '>' if message.big else '<'
    body, head = Writer(endian), Writer(endian)
    for kind, value in zip(split(message.signature), message.body, strict=True):
        body.value(kind, value)
    code = {name: code for code, name in KINDS.items()}[message.kind]
    head.data += bytes([ord('B' if message.big else 'l'), code, message.flags, 1])
    head.number('I', len(body.data))
    head.number('I', message.serial)
    head.value('a(yv)', [[CODES[name], {FIELDS[CODES[name]][1]: value}] for name, value in message.head])
    head.align(8)
    return bytes(head.data + body.data)
