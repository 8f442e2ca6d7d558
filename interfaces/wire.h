/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers and words that all ends agree on: limits, flags, vardict keys. Documented for people in the XML
 * files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Limits. A value beyond one is an error of who sent it, never clamped. */
#define FB_WINDOW_MIN              1u
#define FB_WINDOW_MAX              16u
#define FB_WINDOW_DEFAULT          4u
#define FB_BUS_FDS_MAX             48u  /* windows on the bus, all together */
#define FB_BUS_LIVE_FDS_MAX        63u  /* on the bus, not proven read: stock daemons stop reading us at 64 */
#define FB_PEER_FDS_MAX            256u /* unread, on all channels: far below RLIMIT_NOFILE (soft: 1024) */
#define FB_CHANNELS_PER_CONNECTION 16u
#define FB_SUBSCRIPTIONS_PER_UID   128u
#define FB_MEMORIES_MAX            4u
#define FB_SEQS_MAX                4096u /* in one Release */
#define FB_WISHES_MAX              16u   /* kinds of memory in one request */
#define FB_PLANES_MAX              4u
#define FB_META_BYTES_MAX          1024u
#define FB_MODES_MAX               512u /* of a source: with all that may be said less than FB_MESSAGE_SURE */
#define FB_MODES_WISHED_MAX        256u  /* in one request */
#define FB_NAME_MAX                64u
#define FB_TEXT_MAX                256u /* description, driver, reason: bytes of UTF-8 */
#define FB_CONTROLS_MAX            256u /* of a source */
#define FB_CONTROL_ITEMS_MAX       256u /* of a menu */
#define FB_CONTROLS_SET_MAX        64u  /* in one call */
#define FB_CONTROL_CALLS_MAX       64u  /* waiting for one publisher, */
#define FB_CONTROL_CALLS_PER_CONNECTION 16u
#define FB_PUBLISHER_WINDOW        8u
#define FB_BUFFERS_MAX             64u /* of a publisher, known to the broker: leased memory, dma-bufs */
#define FB_CONTROL_QUEUE_MAX       64u /* unsent messages on a channel beyond which its client is ended */
#define FB_MESSAGE_MAX             (384u * 1024u) /* bytes of one that a channel's client sends */
#define FB_MESSAGE_SURE            (128u * 1024u) /* fits into any stock socket; a longer one has 2 s */

/* The grammar of source names: 1 to 64 characters out of [A-Za-z0-9._:-], not beginning with a dot. */
static inline bool fb_source_name_is_valid(const char *name) {
        size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-");

        return n >= 1 && n <= FB_NAME_MAX && !name[n] && name[0] != '.';
}

/* Frame flags */
#define FB_FRAME_REPLAYED      (1u << 0)
#define FB_FRAME_KEYFRAME      (1u << 1)
#define FB_FRAME_DISCONTINUITY (1u << 2)
#define FB_FRAME_PAIRED        (1u << 3) /* from a publisher: the next Frame is the same, in other memory */
#define FB_FRAME_VOLATILE      (1u << 4) /* dma-bufs: what is in it may change while it is held */
#define FB_FRAME_MEMORY_SHIFT  8
#define FB_FRAME_MEMORY_MASK   (0xfu << FB_FRAME_MEMORY_SHIFT)

/* Kinds of memory, as in bits 8-11 of a frame's flags; a mask of kinds has bit 1u << kind */
#define FB_MEMORY_SEALED 0u
#define FB_MEMORY_LEASED 1u
#define FB_MEMORY_DMABUF 2u
#define FB_MEMORY_KINDS  3u

static inline const char *fb_memory_to_string(uint32_t kind) {
        return kind == FB_MEMORY_SEALED ? "sealed" :
               kind == FB_MEMORY_LEASED ? "leased" :
               kind == FB_MEMORY_DMABUF ? "dmabuf" :
                                          "unknown";
}

/* false: no such word */
static inline bool fb_memory_from_string(const char *word, uint32_t *ret_kind) {
        for (uint32_t kind = 0; kind < FB_MEMORY_KINDS; kind++)
                if (strcmp(word, fb_memory_to_string(kind)) == 0) {
                        *ret_kind = kind;
                        return true;
                }
        return false;
}

/* The page of Subscription1.GetOrder, native byte order; what follows is 0. */
typedef struct FbOrderPage {
        uint64_t committed; /* read it with acquire semantics */
        uint32_t version;
} FbOrderPage;

#define FB_ORDER_PAGE_SIZE    4096u
#define FB_ORDER_PAGE_VERSION 1u

/* Times, nanoseconds */
#define FB_SUSPEND_AFTER_NS 2000000000ull /* nothing released for so long while frames wait: suspended */
#define FB_REPLAY_AGE_NS    1000000000ull /* a replayed frame is at most this old, or two frame intervals */
#define FB_KEYFRAME_NS      500000000ull  /* a source is not asked for keyframes more often */

/* Keys of mode dictionaries */
#define FB_KEY_FOURCC       "fourcc"       /* u */
#define FB_KEY_MODIFIER     "modifier"     /* t */
#define FB_KEY_WIDTH        "width"        /* u */
#define FB_KEY_HEIGHT       "height"       /* u */
#define FB_KEY_WIDTH_RANGE  "width-range"  /* (uuu) */
#define FB_KEY_HEIGHT_RANGE "height-range" /* (uuu) */
#define FB_KEY_RATE         "rate"         /* (uu) */
#define FB_KEY_RATE_RANGE   "rate-range"   /* (uuuu) */

/* Keys of options and of what is granted */
#define FB_KEY_MODES    "modes"    /* aa{sv} */
#define FB_KEY_WINDOW   "window"   /* u */
#define FB_KEY_DROP     "drop"     /* s: newest, latest */
#define FB_KEY_MEMORY   "memory"   /* as, also of Start and Describe; granted: s */
#define FB_KEY_BUFFERS  "buffers"  /* u, Start only */
#define FB_KEY_ORDER    "order"    /* s: fifo, causal */
#define FB_KEY_MAX_RATE "max-rate" /* (uu) */
#define FB_KEY_REPLAY   "replay"   /* b */
#define FB_KEY_MODE     "mode"     /* a{sv}, granted only */
#define FB_KEY_SEQ      "seq"      /* t, granted only */
#define FB_KEY_EPOCH    "epoch"    /* s, granted only */
#define FB_KEY_COMMITS  "commits"  /* o, granted on the bus with order=causal, and SetOptions */

/* Keys of a frame's meta */
#define FB_META_DEVICE_SEQUENCE "device-sequence" /* u */
#define FB_META_BUFFER          "buffer"          /* t */
#define FB_META_MODIFIER        "modifier"        /* t */
#define FB_META_CROP            "crop"            /* (uuuu) */
#define FB_META_TRANSFORM       "transform"       /* u */
#define FB_META_COLORIMETRY     "colorimetry"     /* (uuuu) */
#define FB_META_FIELD           "field"           /* u */

/* Keys of a control's description */
#define FB_KEY_CONTROL_ID      "id"      /* s */
#define FB_KEY_CONTROL_NAME    "name"    /* s */
#define FB_KEY_CONTROL_GROUP   "group"   /* s */
#define FB_KEY_CONTROL_TYPE    "type"    /* s */
#define FB_KEY_CONTROL_MIN     "min"     /* x */
#define FB_KEY_CONTROL_MAX     "max"     /* x */
#define FB_KEY_CONTROL_STEP    "step"    /* x */
#define FB_KEY_CONTROL_DEFAULT "default" /* v: x or b */
#define FB_KEY_CONTROL_ITEMS   "items"   /* a(xs) */
#define FB_KEY_CONTROL_FLAGS   "flags"   /* as */
#define FB_KEY_CONTROL_VALUE   "value"   /* v: x, b or s */
