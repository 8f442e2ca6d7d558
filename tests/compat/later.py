# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A broker of later days: a relay (tap.py) that adds to all that the broker says whatever a later version may add without
being a new interface. Old clients have to shrug.

    with tap.Tap(bus, change=later.Broker().change) as relay: …

It adds keys to each a{sv} of an answer or a signal, at any depth, and to the meta of frames; flags of frames; words to
lists of words; signals that nobody knows, ahead of each that somebody may; States, reasons of losses and types of
controls of which nobody has heard; interfaces to the objects in ObjectManager, org.framebus.Source2 among them.
What old clients say goes through as it is.
"""

import dbuswire

SUBSCRIPTION, PUBLICATION = 'org.framebus.Subscription1', 'org.framebus.Publication1'
FRAMEBUS = 'org.framebus.'
LATER_FLAGS = 1 << 7 | 1 << 13
# What is said in words that may become more.
WORDS = {'State': 'sleeping', 'StateReason': 'as later versions have it', 'Driver': 'later'}
CONTROL = [['id', {'s': 'later'}], ['name', {'s': 'Later'}], ['type', {'s': 'region'}],
           ['area', {'(uuuu)': [1, 2, 3, 4]}]]


def more_keys():
    return [['org.framebus.later', {'a(sv)': [['x', {'ad': [0.5]}]]}], ['later', {'s': 'yes'}]]


class Broker:
    def __init__(self):
        self.calls, self.changed = {}, set()
        self.n_serials = 0x40000000         # of signals that are ours

    def change(self, link, by_client, message):
        if by_client:
            self.calls[link, message.serial] = message
            return [message]
        call = self.calls.get((link, message.get('reply-to')))
        if message.kind == 'return' and call and call.get('destination') != 'org.freedesktop.DBus':
            return [self._reply(call, message)]
        if message.kind == 'signal' and (message.get('path') or '').startswith('/org/framebus'):
            return self._signal(message)
        return [message]

    def _note(self, what):
        self.changed.add(what)

    def _more(self, kind, value):
        """With more in it, at any depth."""
        if kind == 'a{sv}':
            found = [[key, self._variant(key, v)] for key, v in value]
            return found + more_keys()
        if kind == 'v':
            return self._variant(None, value)
        if kind[0] == 'a' and kind[1] == '{':
            inner = dbuswire.split(kind[2:-1])[1]
            return [[key, self._more(inner, v)] for key, v in value]
        if kind[0] == 'a':
            return [self._more(kind[1:], v) for v in value]
        if kind[0] == '(':
            return [self._more(k, v) for k, v in zip(dbuswire.split(kind[1:-1]), value)]
        return value

    def _variant(self, key, value):
        (signature, content), = value.items()
        if key in WORDS and signature == 's':
            return {signature: WORDS[key]}
        if key in ('Features', 'Aliases', 'flags') and signature == 'as':
            return {signature: [*content, 'later']}
        return {signature: self._more(signature, content)}

    def _reply(self, call, message):
        member = call.get('member')
        if member == 'Introspect' or (call.get('interface') or '').startswith('com.stbtester.') or not message.body:
            return message
        kinds = dbuswire.split(message.signature)
        if call.is_('call', 'org.framebus.Controls1', 'Get') or call.is_('call', 'org.framebus.Controls1', 'Set'):
            return message                  # a key is a control's name there
        message.body = [self._more(kind, value) for kind, value in zip(kinds, message.body)]
        if member == 'GetManagedObjects':
            for _path, interfaces in message.body[0]:
                interfaces.append(['org.framebus.Source2', [['Later', {'a{sv}': more_keys()}]]])
            message.body[0].append(['/org/framebus/later', [['org.framebus.Later1', more_keys()]]])
        elif call.is_('call', 'org.framebus.Controls1', 'List'):
            message.body[0].insert(0, CONTROL)
        self._note(member)
        return message

    def _signal(self, message):
        interface, member = message.get('interface'), message.get('member')
        if interface == 'org.framebus.Receipt1':
            return [message]
        message.body = [self._more(kind, value) for kind, value in zip(dbuswire.split(message.signature), message.body)]
        if member == 'Frame':
            message.body[4] |= LATER_FLAGS
        elif member == 'Lost':
            message.body[1] = 'later-reason'
        elif member == 'InterfacesAdded':
            message.body[1].append(['org.framebus.Source2', more_keys()])
        elif member == 'InterfacesRemoved':
            message.body[1].append('org.framebus.Source2')
        self._note(member)
        if interface not in (SUBSCRIPTION, PUBLICATION):
            return [message]
        return [self._unknown(message, 'Later', '', []), self._unknown(message, 'LaterStill', 'ts', [70707, 'later']),
                self._unknown(message, 'LaterKeys', 'a{sv}', [more_keys()]), message]

    def _unknown(self, like, member, signature, body):
        """A signal to the same, which nobody knows."""
        head = [[name, value] for name, value in like.head if name not in ('signature', 'fds')]
        signal = dbuswire.Message('signal', self._serial(), head, body, flags=like.flags, big=like.big)
        signal.set('member', member)
        if signature:
            signal.set('signature', signature)
        return signal

    def _serial(self):
        self.n_serials += 1
        return self.n_serials
