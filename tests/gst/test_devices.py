#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sources as devices: listed, told when they come, go and change, and an element made of one."""

import pipelines
from pipelines import Gst

import fbtest


class Devices(pipelines.TestCase):
    def monitor(self):
        monitor = Gst.DeviceMonitor()
        monitor.add_filter('Video/Source', None)
        return monitor

    def names(self, monitor):
        return sorted(d.get_display_name() for d in monitor.get_devices() or []
                      if d.get_properties().get_value('device.api') == 'framebus')

    def device(self, monitor, source):
        return next(d for d in monitor.get_devices() if d.get_properties().get_string('framebus.source') == source)

    def width(self, monitor, source):
        """That of its first caps; None while its modes are not known."""
        known, width = self.device(monitor, source).get_caps().get_structure(0).get_int('width')
        return width if known else None

    def test_a_list(self):
        self.start({'bars': pipelines.PATTERN, 'more': pipelines.PATTERN})
        self.assertEqual(self.names(self.monitor()), ['bars', 'more'])

    def test_coming_and_going(self):
        self.start({'bars': pipelines.PATTERN})
        monitor = self.monitor()
        monitor.start()
        self.addCleanup(monitor.stop)
        self.assertEqual(self.names(monitor), ['bars'])
        sender = self.play('videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48 '
                           '! framebussink source=new description="A new one"')
        fbtest.wait_until(lambda: self.names(monitor) == ['A new one', 'bars'])
        fbtest.wait_until(lambda: self.width(monitor, 'new') == 64)
        device = self.device(monitor, 'new')
        element = device.create_element(None)
        self.assertEqual((element.get_factory().get_name(), element.props.source), ('framebussrc', 'new'))
        sender.stop()
        fbtest.wait_until(lambda: self.names(monitor) == ['bars'])

    def test_modes_become_known(self):
        self.start({'bars': pipelines.PATTERN})
        monitor = self.monitor()
        monitor.start()
        self.addCleanup(monitor.stop)
        self.play('framebussrc source=bars ! fakesink name=sink').wait_frames(1)
        fbtest.wait_until(lambda: self.width(monitor, 'bars') == 320)
        self.assertEqual(self.names(monitor), ['Test picture'])

    def test_no_broker(self):
        self.start()
        self.broker.stop()
        self.assertEqual(self.names(self.monitor()), [])


if __name__ == '__main__':
    fbtest.main()
