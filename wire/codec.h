/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frame, FormatChanged, modes and lists of sequence numbers to and from D-Bus messages; the same on all hops.
 *
 * Errors are negative errno (no memory, or not the signature promised: -EBADMSG) or positive FB_E_*.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "wire/frame.h"
#include "wire/mode.h"
#include "wire/vardict.h"

/* Appends the eight arguments of Frame. sd-bus duplicates the descriptors. @extra_flags are or-ed in; a
 * replayed frame is outside of the order, and has 0 there. */
int codec_append_frame(sd_bus_message *m, const Frame *f, uint32_t extra_flags);

/*
 * Reads the eight arguments of Frame. The new frame keeps a reference on @m, whose descriptors it borrows.
 * FB_E_INVALID_FRAME: more memories or planes than allowed, a plane that names no memory, a meta key of the
 * wrong type or too much of it; @ret_why says which. The memories are not judged: see import.h. Unknown meta
 * keys are skipped; none may contain a descriptor. Unknown flags are the caller's business: the broker
 * refuses them, a client of a later broker does not look at them.
 */
int codec_read_frame(sd_bus_message *m, Frame **ret_frame, const char **ret_why);

/* Appends and reads a mode as a{sv}. Reading: ranges allowed if @allow_ranges; @wish: missing keys mean any,
 * and unknown keys are refused; else unknown keys are ignored. */
int codec_append_mode(sd_bus_message *m, const Mode *mode);
int codec_read_mode(sd_bus_message *m, bool wish, Mode *ret_mode, VardictError *ret_error);

/* Kinds of memory in order, each once. */
typedef struct MemoryList {
        uint32_t n;
        uint32_t kinds[FB_MEMORY_KINDS]; /* FB_MEMORY_* */
} MemoryList;

static inline uint32_t memory_list_get_mask(const MemoryList *l) {
        uint32_t mask = 0;

        for (uint32_t i = 0; i < l->n; i++)
                mask |= 1u << l->kinds[i];
        return mask;
}

/* as. Appending: those of the mask @kinds. Reading: at most FB_WISHES_MAX words, known ones unless
 * @ignore_unknown; else FB_E_INVALID_OPTION. What is named twice counts once. */
int codec_append_memories(sd_bus_message *m, uint32_t kinds);
int codec_read_memories(sd_bus_message *m, bool ignore_unknown, MemoryList *ret);

/* What a publisher is to make. */
typedef struct Start {
        Mode mode;
        uint32_t memories;  /* a mask of the kinds that are needed; not 0 */
        uint32_t n_buffers; /* how many that are not sealed the receivers may hold together */
} Start;

/* a{sv}: a complete mode with "memory" and "buffers"; without them sealed memory is needed. Reading: unknown
 * keys and kinds are ignored; FB_E_INVALID_OPTION: the mode is not complete. */
int codec_append_start(sd_bus_message *m, const Start *start);
int codec_read_start(sd_bus_message *m, Start *ret, VardictError *ret_error);

/* aa{sv}, at most FB_MODES_MAX, in a wish FB_MODES_WISHED_MAX. The array is the caller's to free. */
int codec_append_modes(sd_bus_message *m, ModeList list);
int codec_read_modes(sd_bus_message *m, bool wish, Mode **ret_modes, size_t *ret_n, VardictError *ret_error);

/* The three arguments of FormatChanged. */
int codec_append_format(sd_bus_message *m, uint64_t order, uint32_t format, const Mode *mode);
int codec_read_format(sd_bus_message *m, uint64_t *ret_order, uint32_t *ret_format, Mode *ret_mode);

/* at; the array points into the message. FB_E_INVALID_OPTION: more than FB_SEQS_MAX. */
int codec_read_seqs(sd_bus_message *m, const uint64_t **ret_seqs, size_t *ret_n);
