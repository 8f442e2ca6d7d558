/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See slot.h. The mapping is made before the seal that keeps everybody else from writing, and is the only
 * one. What is retired while it waits in the pool is thrown away when its turn comes.
 */
#include "gst/slot.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/memfd.h"

#define MEMORY_TYPE "FramebusSlot"

/* The allocator */

typedef struct SlotAllocator {
        GstAllocator parent;
        Sender *sender;
} SlotAllocator;

typedef struct SlotAllocatorClass {
        GstAllocatorClass parent_class;
} SlotAllocatorClass;

static GType slot_allocator_get_type(void);
G_DEFINE_TYPE(SlotAllocator, slot_allocator, GST_TYPE_ALLOCATOR)

static uint64_t slot_next_id(void) {
        static GMutex lock;
        static uint64_t last;
        uint64_t id;

        g_mutex_lock(&lock);
        id = ++last;
        g_mutex_unlock(&lock);
        return id;
}

static int slot_open(Slot *slot, gsize size) {
        int r;

        slot->fd = memfd_new("framebussink");
        if (slot->fd < 0)
                return slot->fd;
        if (ftruncate(slot->fd, (off_t)size) < 0)
                return -errno;
        slot->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, slot->fd, 0);
        if (slot->data == MAP_FAILED) {
                r = -errno;
                slot->data = NULL;
                return r;
        }
        return memfd_seal_pool(slot->fd);
}

static void slot_close(Slot *slot, gsize size) {
        if (slot->data)
                (void)munmap(slot->data, size);
        if (g_atomic_int_get(&slot->retired)) /* what receivers see in it is to stay */
                (void)memfd_seal(slot->fd);
        fb_close(slot->fd);
}

static GstMemory *slot_alloc(GstAllocator *allocator, gsize size, GstAllocationParams *params) {
        gsize maxsize = size + params->prefix + params->padding;
        Slot *slot = g_new0(Slot, 1);

        if (slot_open(slot, maxsize) < 0) {
                slot_close(slot, maxsize);
                g_free(slot);
                return NULL;
        }
        slot->id = slot_next_id();
        gst_memory_init(&slot->memory, params->flags, allocator, NULL, maxsize, params->align, params->prefix,
                        size);
        sender_add_slot(((SlotAllocator *)allocator)->sender, slot->id, slot);
        return &slot->memory;
}

static void slot_free(GstAllocator *allocator, GstMemory *memory) {
        Slot *slot = (Slot *)memory;

        if (!memory->parent) {
                sender_remove_slot(((SlotAllocator *)allocator)->sender, slot->id);
                slot_close(slot, memory->maxsize);
        }
        g_free(slot);
}

static gpointer slot_map(GstMemory *memory, gsize maxsize, GstMapFlags flags) {
        return ((Slot *)memory)->data;
}

static void slot_unmap(GstMemory *memory) {
}

/* A part of it, which keeps it. */
static GstMemory *slot_share(GstMemory *memory, gssize offset, gssize size) {
        GstMemory *parent = memory->parent ?: memory;
        Slot *slot = g_new0(Slot, 1);

        slot->fd = -1;
        slot->data = ((Slot *)memory)->data;
        if (size == -1)
                size = (gssize)memory->size - offset;
        gst_memory_init(&slot->memory, GST_MINI_OBJECT_FLAGS(parent) | GST_MINI_OBJECT_FLAG_LOCK_READONLY,
                        memory->allocator, parent, memory->maxsize, memory->align,
                        memory->offset + (gsize)offset, (gsize)size);
        return &slot->memory;
}

static void slot_allocator_finalize(GObject *object) {
        sender_unref(((SlotAllocator *)object)->sender);
        G_OBJECT_CLASS(slot_allocator_parent_class)->finalize(object);
}

static void slot_allocator_class_init(SlotAllocatorClass *class) {
        G_OBJECT_CLASS(class)->finalize = slot_allocator_finalize;
        GST_ALLOCATOR_CLASS(class)->alloc = slot_alloc;
        GST_ALLOCATOR_CLASS(class)->free = slot_free;
}

static void slot_allocator_init(SlotAllocator *self) {
        GstAllocator *allocator = GST_ALLOCATOR(self);

        allocator->mem_type = MEMORY_TYPE;
        allocator->mem_map = slot_map;
        allocator->mem_unmap = slot_unmap;
        allocator->mem_share = slot_share;
}

GstAllocator *slot_allocator_new(Sender *sender) {
        SlotAllocator *self = g_object_new(slot_allocator_get_type(), NULL);

        self->sender = sender_ref(sender);
        return GST_ALLOCATOR(gst_object_ref_sink(self));
}

Slot *slot_of_buffer(GstBuffer *buffer) {
        GstMemory *memory = gst_buffer_n_memory(buffer) == 1 ? gst_buffer_peek_memory(buffer, 0) : NULL;

        return memory && gst_memory_is_type(memory, MEMORY_TYPE) && !memory->parent ? (Slot *)memory : NULL;
}

void slot_retire(Slot *slot) {
        g_atomic_int_set(&slot->retired, 1);
}

/* The pool */

typedef struct SlotPool {
        GstVideoBufferPool parent;
        GstAllocator *allocator;
} SlotPool;

typedef struct SlotPoolClass {
        GstVideoBufferPoolClass parent_class;
} SlotPoolClass;

static GType slot_pool_get_type(void);
G_DEFINE_TYPE(SlotPool, slot_pool, GST_TYPE_VIDEO_BUFFER_POOL)

static bool buffer_is_retired(GstBuffer *buffer) {
        Slot *slot = slot_of_buffer(buffer);

        return slot && g_atomic_int_get(&slot->retired);
}

static void pool_release(GstBufferPool *pool, GstBuffer *buffer) {
        if (buffer_is_retired(buffer))
                GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_TAG_MEMORY); /* the base class throws it away */
        GST_BUFFER_POOL_CLASS(slot_pool_parent_class)->release_buffer(pool, buffer);
}

static GstFlowReturn pool_acquire(GstBufferPool *pool, GstBuffer **ret, GstBufferPoolAcquireParams *params) {
        GstBufferPoolClass *class = GST_BUFFER_POOL_CLASS(slot_pool_parent_class);
        GstFlowReturn flow;

        for (;;) {
                flow = class->acquire_buffer(pool, ret, params);
                if (flow != GST_FLOW_OK || !buffer_is_retired(*ret))
                        return flow;
                pool_release(pool, *ret);
        }
}

/* Whatever upstream configures: the memory is to be ours. */
static gboolean pool_set_config(GstBufferPool *pool, GstStructure *config) {
        GstAllocator *allocator;
        GstAllocationParams params;

        if (!gst_buffer_pool_config_get_allocator(config, &allocator, &params))
                gst_allocation_params_init(&params);
        gst_buffer_pool_config_set_allocator(config, ((SlotPool *)pool)->allocator, &params);
        return GST_BUFFER_POOL_CLASS(slot_pool_parent_class)->set_config(pool, config);
}

static void slot_pool_finalize(GObject *object) {
        GstAllocator *allocator = ((SlotPool *)object)->allocator;

        G_OBJECT_CLASS(slot_pool_parent_class)->finalize(object);
        gst_object_unref(allocator);
}

static void slot_pool_class_init(SlotPoolClass *class) {
        G_OBJECT_CLASS(class)->finalize = slot_pool_finalize;
        GST_BUFFER_POOL_CLASS(class)->set_config = pool_set_config;
        GST_BUFFER_POOL_CLASS(class)->acquire_buffer = pool_acquire;
        GST_BUFFER_POOL_CLASS(class)->release_buffer = pool_release;
}

static void slot_pool_init(SlotPool *self) {
}

GstBufferPool *slot_pool_new(GstAllocator *allocator, GstCaps *caps, guint size, guint n_least) {
        GstBufferPool *pool = GST_BUFFER_POOL(gst_object_ref_sink(g_object_new(slot_pool_get_type(), NULL)));
        GstStructure *config = gst_buffer_pool_get_config(pool);

        ((SlotPool *)pool)->allocator = gst_object_ref(allocator);
        gst_buffer_pool_config_set_params(config, caps, size, n_least, 0);
        gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
        if (!gst_buffer_pool_set_config(pool, config))
                gst_clear_object(&pool);
        return pool;
}
