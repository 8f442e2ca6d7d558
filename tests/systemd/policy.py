#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""policy.py ADDRESS: what the bus policy lets whom do, tried by all of them. Root.

Each user is a process of its own that takes orders on stdin; the broker's part is played by one with the
broker's uid. Each case says who sends what to whom, and who has to see it.
"""
import json
import os
import pwd
import subprocess
import sys

USERS = {
    'broker': ('framebus', []),
    'member': ('daemon', ['video']),
    'stranger': ('nobody', []),
    'root': ('root', []),
}
INTERFACE = 'org.framebus.Subscription1'
PATH = '/org/framebus/subscription/1'


class Agent:
    """Another process with another uid on the bus."""

    def __init__(self, address, user, groups):
        entry = pwd.getpwnam(user)
        command = ['setpriv', f'--reuid={user}', f'--regid={entry.pw_gid}',
                   f'--groups={",".join(groups)}' if groups else '--clear-groups',
                   sys.executable, __file__, '--agent', address]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = self.ask(do='name')

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def agent(address):
    from gi.repository import Gio, GLib

    flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
    bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
    seen = []

    def driver(method, arguments, kind):
        answer = bus.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
                               method, arguments, GLib.VariantType(kind) if kind else None, 0, 10000, None)
        return answer.unpack()

    def on_message(connection, message, incoming):
        signal = message.get_message_type() == Gio.DBusMessageType.SIGNAL
        if incoming and signal and message.get_path() == PATH:
            seen.append(message.get_body().unpack()[0])
        return message

    def send(order):
        message = Gio.DBusMessage.new_signal(PATH, order['interface'], 'Frame')
        message.set_destination(order.get('to'))
        message.set_body(GLib.Variant('(s)', [order['token']]))
        if order.get('fd'):
            fds = Gio.UnixFDList.new()
            fds.append(0)
            message.set_unix_fd_list(fds)
            message.set_body(GLib.Variant('(sh)', [order['token'], 0]))
        bus.send_message(message, 0)
        bus.flush_sync(None)
        driver('GetId', None, None)    # the bus has dealt with it

    def settled():
        driver('GetId', None, None)    # what the bus sent before this reply is here

    bus.add_filter(on_message)
    driver('AddMatch', GLib.Variant('(s)', ["type='signal',path='" + PATH + "'"]), None)
    for line in sys.stdin:
        order = json.loads(line)
        result = True
        if order['do'] == 'name':
            result = bus.get_unique_name()
        elif order['do'] == 'own':
            try:
                result = driver('RequestName', GLib.Variant('(su)', ['org.framebus', 4]), '(u)')[0] in (1, 4)
            except GLib.Error:
                result = False
        elif order['do'] == 'send':
            send(order)
        elif order['do'] == 'seen':
            settled()
            result = list(seen)
            seen.clear()
        print(json.dumps(result), flush=True)


# Who sends, with what, to whom (None: all), and who has to see it.
CASES = [
    ('frames of the broker to all', 'broker', dict(interface=INTERFACE), None, ['member', 'root']),
    ('a frame of the broker to a member', 'broker', dict(interface=INTERFACE), 'member', ['member']),
    ('a frame of the broker to root', 'broker', dict(interface=INTERFACE), 'root', ['root']),
    ('a frame of the broker to a stranger', 'broker', dict(interface=INTERFACE), 'stranger', []),
    ('a frame with memory to a member', 'broker', dict(interface=INTERFACE, fd=True), 'member', ['member']),
    ('a frame with memory to a stranger', 'broker', dict(interface=INTERFACE, fd=True), 'stranger', []),
    ('memory to all', 'broker', dict(interface=INTERFACE, fd=True), None, []),
    ('memory to all under another name', 'broker', dict(interface='org.framebus.Source1', fd=True), None, []),
    ('news of the broker to all', 'broker', dict(interface='org.freedesktop.DBus.Properties'), None,
     ['member', 'root']),
    ('news of the broker to a stranger', 'broker', dict(interface='org.freedesktop.DBus.Properties'),
     'stranger', []),
    ('a frame of a stranger to a member', 'stranger', dict(interface=INTERFACE), 'member', []),
    ('a frame of a stranger to all', 'stranger', dict(interface=INTERFACE), None, []),
    ('a frame of a member to a member', 'member', dict(interface=INTERFACE), 'member', []),
    ('a frame of a member to the broker', 'member', dict(interface=INTERFACE), 'broker', []),
    ('a frame of root to a member', 'root', dict(interface=INTERFACE), 'member', []),
    ('a frame of root to the broker', 'root', dict(interface=INTERFACE), 'broker', []),
    ('another signal of a stranger to a member', 'stranger', dict(interface='org.example.Other'), 'member',
     ['member']),
]


def main(address):
    agents = {who: Agent(address, *user) for who, user in USERS.items()}
    failed = 0

    def check(what, got, wanted):
        nonlocal failed
        if got != wanted:
            failed += 1
            print(f'FAIL: {what}: {got} instead of {wanted}')

    for who in ('stranger', 'member', 'root'):
        check(f'{who} owns the name', agents[who].ask(do='own'), False)
    check('the broker owns the name', agents['broker'].ask(do='own'), True)
    for what, sender, message, to, receivers in CASES:
        agents[sender].ask(do='send', token=what, to=agents[to].name if to else None, **message)
        for who in agents:
            if who != sender:
                check(f'{what}: {who} sees', agents[who].ask(do='seen'), [what] if who in receivers else [])
        agents[sender].ask(do='seen')
    for one in agents.values():
        one.end()
    print(f'{len(CASES) + 4} cases, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    os.environ['PYTHONDONTWRITEBYTECODE'] = '1'
    if sys.argv[1] == '--agent':
        agent(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1]))
