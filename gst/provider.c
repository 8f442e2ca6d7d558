/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The device provider: every source is a device, as gst-device-monitor-1.0 shows them. While it is started it
 * watches; a probe waits for one list of all that there is.
 *
 * A source that was never asked what it can do has no modes yet: its caps are then those of the pad template,
 * rather than that a look at the list of devices starts all cameras.
 */
#include <string.h>

#include "gst/caps.h"
#include "gst/elements.h"
#include "gst/worker.h"

/* Devices */

struct _FramebusDevice {
        GstDevice parent;
        char *source, *bus;
};

G_DECLARE_FINAL_TYPE(FramebusDevice, framebus_device, FRAMEBUS, DEVICE, GstDevice)
G_DEFINE_FINAL_TYPE(FramebusDevice, framebus_device, GST_TYPE_DEVICE)

static GstElement *device_create_element(GstDevice *device, const gchar *name) {
        FramebusDevice *self = FRAMEBUS_DEVICE(device);
        GstElement *element = gst_element_factory_make("framebussrc", name);

        if (element)
                g_object_set(element, "source", self->source, "bus", self->bus, NULL);
        return element;
}

static gboolean device_reconfigure_element(GstDevice *device, GstElement *element) {
        if (!FRAMEBUS_IS_SRC(element))
                return FALSE;
        g_object_set(element, "source", FRAMEBUS_DEVICE(device)->source, NULL);
        return TRUE;
}

static void device_finalize(GObject *object) {
        g_free(FRAMEBUS_DEVICE(object)->source);
        g_free(FRAMEBUS_DEVICE(object)->bus);
        G_OBJECT_CLASS(framebus_device_parent_class)->finalize(object);
}

static void framebus_device_init(FramebusDevice *self) {
}

static void framebus_device_class_init(FramebusDeviceClass *class) {
        G_OBJECT_CLASS(class)->finalize = device_finalize;
        GST_DEVICE_CLASS(class)->create_element = device_create_element;
        GST_DEVICE_CLASS(class)->reconfigure_element = device_reconfigure_element;
}

static const char *name_for_people(const struct framebus_source_info *info) {
        return *info->description ? info->description : info->name;
}

/* A floating reference, as providers hand them out. */
static GstDevice *device_new(const struct framebus_source_info *info, const char *bus) {
        GstCaps *caps = info->n_modes > 0 ? caps_from_modes(info->modes, info->n_modes) : caps_template();
        GstStructure *properties = gst_structure_new("framebus", "framebus.source", G_TYPE_STRING, info->name,
                                                     "framebus.driver", G_TYPE_STRING, info->driver,
                                                     "device.api", G_TYPE_STRING, "framebus", NULL);
        FramebusDevice *self;

        self = g_object_new(framebus_device_get_type(), "device-class", "Video/Source", "caps", caps,
                            "properties", properties, "display-name",
                            name_for_people(info), NULL);
        self->source = g_strdup(info->name);
        self->bus = g_strdup(bus);
        gst_structure_free(properties);
        gst_caps_unref(caps);
        return GST_DEVICE(self);
}

/* Lists: a question, and who waits for the end of the answer. */

typedef struct Listing {
        GMutex lock;
        GCond changed;
        bool done;
} Listing;

static void listing_end(Listing *l) {
        g_mutex_lock(&l->lock);
        l->done = true;
        g_cond_broadcast(&l->changed);
        g_mutex_unlock(&l->lock);
}

static void listing_wait(Listing *l) {
        /* longer than a bus waits for an answer */
        gint64 until = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

        g_mutex_lock(&l->lock);
        while (!l->done && g_cond_wait_until(&l->changed, &l->lock, until))
                ;
        g_mutex_unlock(&l->lock);
}

static void listing_init(Listing *l) {
        g_mutex_init(&l->lock);
        g_cond_init(&l->changed);
        l->done = false;
}

static void listing_clear(Listing *l) {
        g_mutex_clear(&l->lock);
        g_cond_clear(&l->changed);
}

/* The provider */

struct _FramebusProvider {
        GstDeviceProvider parent;
        Worker *worker;      /* while it is started */
        Listing first;
        GHashTable *devices; /* the worker's: name to GstDevice */
};

G_DEFINE_FINAL_TYPE(FramebusProvider, framebus_provider, GST_TYPE_DEVICE_PROVIDER)

static bool device_is_as_told(GstDevice *device, const struct framebus_source_info *info) {
        GstCaps *caps = gst_device_get_caps(device);
        GstCaps *now = caps_from_modes(info->modes, info->n_modes);
        char *name = gst_device_get_display_name(device);
        bool same = strcmp(name, name_for_people(info)) == 0 &&
                    (info->n_modes == 0 || gst_caps_is_strictly_equal(caps, now));

        g_free(name);
        gst_caps_unref(caps);
        gst_caps_unref(now);
        return same;
}

static void on_removed(framebus *fb, const char *name, void *userdata) {
        FramebusProvider *self = userdata;
        GstDevice *device = g_hash_table_lookup(self->devices, name);

        if (!device)
                return;
        gst_device_provider_device_remove(GST_DEVICE_PROVIDER(self), device);
        g_hash_table_remove(self->devices, name);
}

static void on_changed(framebus *fb, const struct framebus_source_info *info, void *userdata) {
        FramebusProvider *self = userdata;
        GstDevice *old = g_hash_table_lookup(self->devices, info->name);
        GstDevice *device;

        if (old && device_is_as_told(old, info))
                return;
        device = gst_object_ref_sink(device_new(info, framebus_get_address(fb)));
        if (old)
                gst_device_provider_device_changed(GST_DEVICE_PROVIDER(self), device, old);
        else
                gst_device_provider_device_add(GST_DEVICE_PROVIDER(self), device);
        g_hash_table_insert(self->devices, g_strdup(info->name), device);
}

static const struct framebus_watch_events watch_events = {
        .version = FRAMEBUS_WATCH_EVENTS_VERSION,
        .changed = on_changed,
        .removed = on_removed,
};

/* While it is started: what is there, then what changes. */

static void on_first_listed(framebus *fb, const struct framebus_source_info *info,
                            const struct framebus_error *error, void *userdata) {
        FramebusProvider *self = userdata;

        if (info) {
                on_changed(fb, info, self);
                return;
        }
        (void)framebus_watch(fb, &watch_events, self);
        listing_end(&self->first);
}

static void on_opened(framebus *fb, void *userdata) {
        if (framebus_list(fb, on_first_listed, userdata) < 0)
                listing_end(&((FramebusProvider *)userdata)->first);
}

/* Perhaps nothing of it is there when the connection comes back. */
static void on_closing(void *userdata) {
        FramebusProvider *self = userdata;
        GHashTableIter i;
        void *device;

        g_hash_table_iter_init(&i, self->devices);
        while (g_hash_table_iter_next(&i, NULL, &device))
                gst_device_provider_device_remove(GST_DEVICE_PROVIDER(self), device);
        g_hash_table_remove_all(self->devices);
}

static gboolean provider_start(GstDeviceProvider *provider) {
        static const WorkerHandler handler = { .opened = on_opened, .closing = on_closing };
        FramebusProvider *self = FRAMEBUS_PROVIDER(provider);

        self->first.done = false;
        if (worker_new("framebus-devices", NULL, &handler, self, &self->worker) < 0)
                return FALSE;
        listing_wait(&self->first);
        return TRUE;
}

static void provider_stop(GstDeviceProvider *provider) {
        FramebusProvider *self = FRAMEBUS_PROVIDER(provider);

        worker_stop(self->worker);
        self->worker = worker_unref(self->worker);
}

/* Probing: a connection of its own, and the answer to one question. */

typedef struct Probe {
        Listing listing;
        GList *devices;
} Probe;

static void on_listed(framebus *fb, const struct framebus_source_info *info,
                      const struct framebus_error *error, void *userdata) {
        Probe *p = userdata;

        if (info)
                p->devices = g_list_append(p->devices, device_new(info, framebus_get_address(fb)));
        else
                listing_end(&p->listing);
}

static void on_probe_opened(framebus *fb, void *userdata) {
        if (framebus_list(fb, on_listed, userdata) < 0)
                listing_end(&((Probe *)userdata)->listing);
}

static void on_probe_closing(void *userdata) {
}

static GList *provider_probe(GstDeviceProvider *provider) {
        static const WorkerHandler handler = { .opened = on_probe_opened, .closing = on_probe_closing };
        Probe p = { 0 };
        Worker *worker;

        listing_init(&p.listing);
        if (worker_new("framebus-probe", NULL, &handler, &p, &worker) >= 0) {
                listing_wait(&p.listing);
                worker_stop(worker);
                worker_unref(worker);
        }
        listing_clear(&p.listing);
        return p.devices;
}

static void provider_finalize(GObject *object) {
        g_hash_table_unref(FRAMEBUS_PROVIDER(object)->devices);
        listing_clear(&FRAMEBUS_PROVIDER(object)->first);
        G_OBJECT_CLASS(framebus_provider_parent_class)->finalize(object);
}

static void framebus_provider_init(FramebusProvider *self) {
        listing_init(&self->first);
        self->devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, gst_object_unref);
}

static void framebus_provider_class_init(FramebusProviderClass *class) {
        GstDeviceProviderClass *provider_class = GST_DEVICE_PROVIDER_CLASS(class);

        G_OBJECT_CLASS(class)->finalize = provider_finalize;
        provider_class->probe = provider_probe;
        provider_class->start = provider_start;
        provider_class->stop = provider_stop;
        gst_device_provider_class_set_static_metadata(
                        provider_class, "Framebus device provider", "Source/Video",
                        "Lists the sources of Framebus, and tells when they change", "Framebus");
}
