/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * framebussink. The source has one mode: what the caps say. It exists from the first caps on.
 *
 * Raw pictures go out of slots (slot.h): upstream is offered a pool of them, and what comes in other memory
 * is copied into one. Compressed ones are copied, as they are small and all of another size. Nothing is done
 * with a frame that nobody watches.
 */
#include <errno.h>
#include <linux/videodev2.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "gst/caps.h"
#include "gst/elements.h"
#include "gst/slot.h"

GST_DEBUG_CATEGORY_STATIC(framebus_sink_debug);
#define GST_CAT_DEFAULT framebus_sink_debug

#define POOL_MIN 2u

enum {
        PROP_SOURCE = 1,
        PROP_BUS,
        PROP_DESCRIPTION,
        PROP_REPLACE,
        PROP_ALLOW_REPLACEMENT,
        PROP_WATCHED,
        PROP_STATS
};

struct _FramebusSink {
        GstBaseSink parent;

        /* properties, under the object's lock; the same from start to stop */
        char *source, *bus, *description;
        gboolean replace, allow_replacement;

        Sender *sender; /* these two between start and stop */
        GstAllocator *allocator;

        /* the streaming thread's */
        bool raw, deltas, needs_keyframe;
        GstVideoInfo info;
        GstBufferPool *pool; /* for copies */
        guint n_keyframes;
        guint64 in_place, copied, dropped, unwatched; /* frames, under the object's lock */
};

G_DEFINE_FINAL_TYPE(FramebusSink, framebus_sink, GST_TYPE_BASE_SINK)

/* Time */

static uint64_t monotonic_from_clock(GstClock *clock, GstClockTime t) {
        GstClockTime internal, external, num, den, now;
        GstClockType type = GST_CLOCK_TYPE_OTHER;
        uint64_t now_ns = clock_now_ns();

        if (G_OBJECT_TYPE(clock) == GST_TYPE_SYSTEM_CLOCK)
                g_object_get(clock, "clock-type", &type, NULL);
        if (type == GST_CLOCK_TYPE_MONOTONIC) {
                gst_clock_get_calibration(clock, &internal, &external, &num, &den);
                t = gst_clock_unadjust_with_calibration(clock, t, internal, external, num, den);
                return MIN(t, now_ns);
        }
        now = gst_clock_get_time(clock);
        return t >= now ? now_ns : now_ns > now - t ? now_ns - (now - t) : 0;
}

/* When it was captured, CLOCK_MONOTONIC; not later than now. 0: nobody knows. */
static uint64_t sink_get_capture_ns(FramebusSink *self, GstBuffer *buffer) {
        GstSegment *segment = &GST_BASE_SINK(self)->segment;
        GstClockTime running = GST_CLOCK_TIME_NONE;
        GstClock *clock;
        uint64_t ns;

        if (segment->format == GST_FORMAT_TIME && GST_BUFFER_PTS_IS_VALID(buffer))
                running = gst_segment_to_running_time(segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
        clock = GST_CLOCK_TIME_IS_VALID(running) ? gst_element_get_clock(GST_ELEMENT(self)) : NULL;
        if (!clock)
                return 0;
        ns = monotonic_from_clock(clock, running + gst_element_get_base_time(GST_ELEMENT(self)));
        gst_object_unref(clock);
        return ns;
}

/* Frames */

static uint32_t field_of(FramebusSink *self, GstBuffer *buffer) {
        bool mixed = GST_VIDEO_INFO_INTERLACE_MODE(&self->info) == GST_VIDEO_INTERLACE_MODE_MIXED;

        if (!GST_VIDEO_INFO_IS_INTERLACED(&self->info) ||
            (mixed && !GST_BUFFER_FLAG_IS_SET(buffer, GST_VIDEO_BUFFER_FLAG_INTERLACED)))
                return V4L2_FIELD_NONE;
        if (GST_BUFFER_FLAG_IS_SET(buffer, GST_VIDEO_BUFFER_FLAG_TFF) ||
            GST_VIDEO_INFO_FIELD_ORDER(&self->info) == GST_VIDEO_FIELD_ORDER_TOP_FIELD_FIRST)
                return V4L2_FIELD_INTERLACED_TB;
        return V4L2_FIELD_INTERLACED_BT;
}

static void describe_planes(FramebusSink *self, GstBuffer *buffer, const Slot *slot,
                            struct framebus_push_info *info) {
        const GstVideoMeta *meta = gst_buffer_get_video_meta(buffer);
        gsize end = gst_buffer_get_size(buffer), offset;

        info->n_planes = GST_VIDEO_INFO_N_PLANES(&self->info);
        for (guint i = 0; i < info->n_planes; i++) {
                gint comp[GST_VIDEO_MAX_COMPONENTS], stride, lines;

                offset = meta ? meta->offset[i] : GST_VIDEO_INFO_PLANE_OFFSET(&self->info, i);
                stride = meta ? meta->stride[i] : GST_VIDEO_INFO_PLANE_STRIDE(&self->info, i);
                gst_video_format_info_component(self->info.finfo, i, comp);
                lines = GST_VIDEO_FORMAT_INFO_SCALE_HEIGHT(self->info.finfo, comp[0],
                                                           GST_VIDEO_INFO_HEIGHT(&self->info));
                info->planes[i] = (struct framebus_plane){
                        .stride = (uint32_t)stride,
                        .offset = slot->memory.offset + offset,
                        .size = offset < end ? MIN((gsize)stride * (gsize)lines, end - offset) : 0,
                };
        }
}

static struct framebus_push_info describe(FramebusSink *self, GstBuffer *buffer) {
        struct framebus_push_info info = { .version = FRAMEBUS_PUSH_INFO_VERSION };

        info.pts_ns = sink_get_capture_ns(self, buffer);
        if (!self->deltas || !GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT))
                info.flags |= FRAMEBUS_FRAME_KEYFRAME;
        if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT))
                info.flags |= FRAMEBUS_FRAME_DISCONTINUITY;
        if (self->raw) {
                info.has_colorimetry = caps_get_colorimetry(&self->info, info.colorimetry);
                info.field = field_of(self, buffer);
        }
        return info;
}

static int sink_push_slot(FramebusSink *self, GstBuffer *buffer, Slot *slot) {
        struct framebus_push_info info = describe(self, buffer);

        describe_planes(self, buffer, slot, &info);
        return sender_push(self->sender, buffer, slot, NULL, 0, &info);
}

/* A copy in a slot of ours. NULL: none to be had. */
static GstBuffer *sink_copy(FramebusSink *self, GstBuffer *buffer) {
        GstVideoFrame from, to;
        GstBuffer *copy = NULL;
        gboolean ok = FALSE;

        if (!self->pool || gst_buffer_pool_acquire_buffer(self->pool, &copy, NULL) != GST_FLOW_OK)
                return NULL;
        if (gst_video_frame_map(&from, &self->info, buffer, GST_MAP_READ)) {
                if (gst_video_frame_map(&to, &self->info, copy, GST_MAP_WRITE)) {
                        ok = gst_video_frame_copy(&to, &from);
                        gst_video_frame_unmap(&to);
                }
                gst_video_frame_unmap(&from);
        }
        if (ok)
                ok = gst_buffer_copy_into(copy, buffer, GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS, 0,
                                          -1);
        if (!ok)
                gst_clear_buffer(&copy);
        return copy;
}

static int sink_push_copy(FramebusSink *self, GstBuffer *buffer) {
        GstBuffer *copy = sink_copy(self, buffer);
        Slot *slot = copy ? slot_of_buffer(copy) : NULL;
        int r = slot ? sink_push_slot(self, copy, slot) : -ENOMEM;

        gst_clear_buffer(&copy);
        return r;
}

static int sink_push_compressed(FramebusSink *self, GstBuffer *buffer) {
        struct framebus_push_info info = describe(self, buffer);
        GstMapInfo map;
        int r;

        if (!gst_buffer_map(buffer, &map, GST_MAP_READ))
                return -EIO;
        r = sender_push(self->sender, buffer, NULL, map.data, map.size, &info);
        gst_buffer_unmap(buffer, &map);
        return r;
}

static void sink_want_keyframe(FramebusSink *self) {
        GstEvent *event = gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE,
                                                                      self->n_keyframes++);

        (void)gst_pad_push_event(GST_BASE_SINK_PAD(self), event);
}

/* @ret_counter: the one of the way that it went. */
static int sink_push(FramebusSink *self, GstBuffer *buffer, guint64 **ret_counter) {
        Slot *slot = self->raw ? slot_of_buffer(buffer) : NULL;
        int r = -EBUSY;

        *ret_counter = &self->in_place;
        if (slot)
                r = sink_push_slot(self, buffer, slot);
        if (r != -EBUSY && r != -ENOBUFS) /* the same memory again, or too many */
                return r;
        *ret_counter = &self->copied;
        return self->raw ? sink_push_copy(self, buffer) : sink_push_compressed(self, buffer);
}

/* Who begins to watch a stream whose frames build on others begins with a keyframe; and the broker takes one
 * that never had any for one without. */
static bool sink_is_to_send(FramebusSink *self, GstBuffer *buffer) {
        if (!sender_is_wanted(self->sender))
                return false;
        if (sender_take_begun(self->sender))
                self->needs_keyframe = self->deltas;
        if (!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT))
                self->needs_keyframe = false;
        return !self->needs_keyframe;
}

static GstFlowReturn sink_render(GstBaseSink *base, GstBuffer *buffer) {
        FramebusSink *self = FRAMEBUS_SINK(base);
        guint64 *counter = &self->unwatched;
        int r = 0;

        if (sender_take_keyframe_wanted(self->sender) && self->deltas)
                sink_want_keyframe(self);
        if (sink_is_to_send(self, buffer))
                r = sink_push(self, buffer, &counter);
        if (r == -ENOLINK)
                counter = &self->unwatched;
        else if (r < 0) {
                GST_DEBUG_OBJECT(self, "dropped: %s", g_strerror(-r));
                counter = &self->dropped;
        }
        GST_OBJECT_LOCK(self);
        ++*counter;
        GST_OBJECT_UNLOCK(self);
        return GST_FLOW_OK;
}

/* Caps and allocation */

static void sink_drop_pool(FramebusSink *self) {
        if (self->pool)
                gst_buffer_pool_set_active(self->pool, FALSE);
        gst_clear_object(&self->pool);
}

static int sink_publish(FramebusSink *self, const struct framebus_mode *mode) {
        SenderOptions options = { self->source, self->description, self->replace, self->allow_replacement };
        char *message;
        int r = sender_set_mode(self->sender, &options, mode);

        if (r == -EIO) {
                message = sender_get_error(self->sender);
                GST_ELEMENT_ERROR(self, RESOURCE, OPEN_WRITE, ("\"%s\" cannot be published.", self->source),
                                  ("%s", message));
                g_free(message);
        }
        return r;
}

static gboolean sink_set_caps(GstBaseSink *base, GstCaps *caps) {
        FramebusSink *self = FRAMEBUS_SINK(base);
        struct framebus_mode mode;

        if (caps_to_modes(caps, &mode, 1) == 0 || !mode.width || !mode.height)
                return FALSE;
        if (!mode.rate.den)
                mode.rate = (struct framebus_fraction){ 0, 1 };
        self->raw = caps_format_from_fourcc(mode.fourcc) != GST_VIDEO_FORMAT_UNKNOWN;
        self->deltas = caps_fourcc_has_deltas(mode.fourcc);
        sink_drop_pool(self);
        if (self->raw) {
                if (!gst_video_info_from_caps(&self->info, caps))
                        return FALSE;
                self->pool = slot_pool_new(self->allocator, caps, (guint)GST_VIDEO_INFO_SIZE(&self->info), 0);
                if (!self->pool || !gst_buffer_pool_set_active(self->pool, TRUE))
                        return FALSE;
        }
        return sink_publish(self, &mode) >= 0;
}

static gboolean sink_propose_allocation(GstBaseSink *base, GstQuery *query) {
        FramebusSink *self = FRAMEBUS_SINK(base);
        struct framebus_mode mode;
        GstBufferPool *pool;
        GstVideoInfo info;
        GstCaps *caps;
        gboolean wanted;

        gst_query_parse_allocation(query, &caps, &wanted);
        if (!caps || caps_to_modes(caps, &mode, 1) == 0 || !self->allocator)
                return FALSE;
        if (caps_format_from_fourcc(mode.fourcc) == GST_VIDEO_FORMAT_UNKNOWN ||
            !gst_video_info_from_caps(&info, caps))
                return TRUE;
        gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
        gst_query_add_allocation_param(query, self->allocator, NULL);
        if (!wanted)
                return TRUE;
        pool = slot_pool_new(self->allocator, caps, (guint)GST_VIDEO_INFO_SIZE(&info), POOL_MIN);
        if (pool)
                gst_query_add_allocation_pool(query, pool, (guint)GST_VIDEO_INFO_SIZE(&info), POOL_MIN, 0);
        gst_clear_object(&pool);
        return TRUE;
}

/* States */

static gboolean sink_start(GstBaseSink *base) {
        FramebusSink *self = FRAMEBUS_SINK(base);
        int r;

        if (!self->source || !*self->source) {
                GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("No source is named."),
                                  ("set the property \"source\""));
                return FALSE;
        }
        r = sender_new(self->bus, &self->sender);
        if (r < 0) {
                GST_ELEMENT_ERROR(self, RESOURCE, OPEN_WRITE, ("No bus with Framebus on it."),
                                  ("%s", g_strerror(-r)));
                return FALSE;
        }
        self->allocator = slot_allocator_new(self->sender);
        self->in_place = self->copied = self->dropped = self->unwatched = 0;
        return TRUE;
}

static gboolean sink_stop(GstBaseSink *base) {
        FramebusSink *self = FRAMEBUS_SINK(base);

        sender_stop(self->sender);
        sink_drop_pool(self);
        gst_clear_object(&self->allocator);
        GST_OBJECT_LOCK(self);
        self->sender = sender_unref(self->sender);
        GST_OBJECT_UNLOCK(self);
        return TRUE;
}

static gboolean sink_unlock(GstBaseSink *base) {
        sender_set_flushing(FRAMEBUS_SINK(base)->sender, true);
        return TRUE;
}

static gboolean sink_unlock_stop(GstBaseSink *base) {
        sender_set_flushing(FRAMEBUS_SINK(base)->sender, false);
        return TRUE;
}

/* Properties */

static void set_text(char **text, const GValue *value) {
        g_free(*text);
        *text = g_value_dup_string(value);
}

static void sink_set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {
        FramebusSink *self = FRAMEBUS_SINK(object);

        GST_OBJECT_LOCK(self);
        switch (id) {
        case PROP_SOURCE:
                set_text(&self->source, value);
                break;
        case PROP_BUS:
                set_text(&self->bus, value);
                break;
        case PROP_DESCRIPTION:
                set_text(&self->description, value);
                break;
        case PROP_REPLACE:
                self->replace = g_value_get_boolean(value);
                break;
        case PROP_ALLOW_REPLACEMENT:
                self->allow_replacement = g_value_get_boolean(value);
                break;
        default:
                G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
        }
        GST_OBJECT_UNLOCK(self);
}

static GstStructure *sink_get_stats(FramebusSink *self) {
        return gst_structure_new("framebussink-stats", "in-place", G_TYPE_UINT64, self->in_place, "copied",
                                 G_TYPE_UINT64, self->copied, "dropped", G_TYPE_UINT64, self->dropped,
                                 "unwatched", G_TYPE_UINT64, self->unwatched, NULL);
}

static void sink_get_property(GObject *object, guint id, GValue *value, GParamSpec *spec) {
        FramebusSink *self = FRAMEBUS_SINK(object);

        GST_OBJECT_LOCK(self);
        switch (id) {
        case PROP_SOURCE:
                g_value_set_string(value, self->source);
                break;
        case PROP_BUS:
                g_value_set_string(value, self->bus);
                break;
        case PROP_DESCRIPTION:
                g_value_set_string(value, self->description);
                break;
        case PROP_REPLACE:
                g_value_set_boolean(value, self->replace);
                break;
        case PROP_ALLOW_REPLACEMENT:
                g_value_set_boolean(value, self->allow_replacement);
                break;
        case PROP_WATCHED:
                g_value_set_boolean(value, self->sender && sender_is_wanted(self->sender));
                break;
        case PROP_STATS:
                g_value_take_boxed(value, sink_get_stats(self));
                break;
        default:
                G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
        }
        GST_OBJECT_UNLOCK(self);
}

static void sink_finalize(GObject *object) {
        FramebusSink *self = FRAMEBUS_SINK(object);

        g_free(self->source);
        g_free(self->bus);
        g_free(self->description);
        G_OBJECT_CLASS(framebus_sink_parent_class)->finalize(object);
}

static void framebus_sink_init(FramebusSink *self) {
        gst_base_sink_set_last_sample_enabled(GST_BASE_SINK(self), FALSE); /* one buffer less is held */
}

static void install_properties(GObjectClass *class) {
        GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
        GParamFlags readable = G_PARAM_READABLE | G_PARAM_STATIC_STRINGS;

#define INSTALL(id, kind, ...) g_object_class_install_property(class, id, g_param_spec_##kind(__VA_ARGS__))
        INSTALL(PROP_SOURCE, string, "source", "Source", "Name for the source", NULL, flags);
        INSTALL(PROP_BUS, string, "bus", "Bus",
                "\"system\", \"session\" or a D-Bus address; by default what FRAMEBUS_ADDRESS says, else the "
                "bus "
                "with sources",
                NULL, flags);
        INSTALL(PROP_DESCRIPTION, string, "description", "Description", "For people who look for a source",
                NULL, flags);
        INSTALL(PROP_REPLACE, boolean, "replace", "Replace", "Take the name from who has it and allows it",
                FALSE, flags);
        INSTALL(PROP_ALLOW_REPLACEMENT, boolean, "allow-replacement", "Allow replacement",
                "Let others take the name", FALSE, flags);
        INSTALL(PROP_WATCHED, boolean, "watched", "Watched", "Whether anybody watches", FALSE, readable);
        INSTALL(PROP_STATS, boxed, "stats", "Statistics",
                "Frames since the start: in-place (in memory of our pool), copied, dropped, unwatched",
                GST_TYPE_STRUCTURE, readable);
#undef INSTALL
}

static void framebus_sink_class_init(FramebusSinkClass *class) {
        GstElementClass *element_class = GST_ELEMENT_CLASS(class);
        GstBaseSinkClass *base_class = GST_BASE_SINK_CLASS(class);
        GstCaps *caps = caps_template();

        GST_DEBUG_CATEGORY_INIT(framebus_sink_debug, "framebussink", 0, "Framebus sink");
        G_OBJECT_CLASS(class)->set_property = sink_set_property;
        G_OBJECT_CLASS(class)->get_property = sink_get_property;
        G_OBJECT_CLASS(class)->finalize = sink_finalize;
        install_properties(G_OBJECT_CLASS(class));
        base_class->start = sink_start;
        base_class->stop = sink_stop;
        base_class->unlock = sink_unlock;
        base_class->unlock_stop = sink_unlock_stop;
        base_class->set_caps = sink_set_caps;
        base_class->propose_allocation = sink_propose_allocation;
        base_class->render = sink_render;
        gst_element_class_set_static_metadata(
                        element_class, "Framebus sink", "Sink/Video",
                        "Publishes a source of Framebus, from memory that upstream fills", "Framebus");
        gst_element_class_add_pad_template(element_class,
                                           gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
        gst_caps_unref(caps);
}
