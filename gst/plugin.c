/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin "framebus": gst-inspect-1.0 framebus. */
#include "gst/elements.h"

static gboolean plugin_init(GstPlugin *plugin) {
        return gst_element_register(plugin, "framebussrc", GST_RANK_NONE, framebus_src_get_type()) &&
               gst_element_register(plugin, "framebussink", GST_RANK_NONE, framebus_sink_get_type()) &&
               gst_device_provider_register(plugin, "framebusdeviceprovider", GST_RANK_PRIMARY,
                                            framebus_provider_get_type());
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, framebus,
                  "Sources of Framebus, to watch and to publish", plugin_init, FB_VERSION, "LGPL", "framebus",
                  "org.framebus")
