/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kinds of memory between a source's publisher, its stream and its subscribers: who is granted which, and
 * what the publisher is told of that. */
#pragma once

#include "broker/api/options.h"
#include "broker/api/source.h"

/* Chooses the first kind of memory in @o that the source has and @c may be given, as Options::memory; else
 * NoCommonMemory in @ret_error. */
int memory_grant(const Source *s, const Caller *c, Options *o, sd_bus_error *ret_error);

/* What a subscription that was granted @o takes: a mask. */
uint32_t memory_get_accepted(const Options *o);

/* Has the source's publisher make frames in @mode, in the kinds of memory that the stream needs. */
void memory_start(Source *s, const Mode *mode);

/* For the publication's handler, and the stream's. */
/* Its publisher's buffers have so many bytes and descriptors. */
int memory_on_buffers(Publication *p, uint64_t bytes, uint32_t n_fds, const char **ret_why, void *userdata);
/* It has no buffer to fill. */
void memory_on_want_buffer(Publication *p, void *userdata);
void memory_on_said(Publication *p, uint32_t kinds, void *userdata);
void memory_on_renewed(Publication *p, uint64_t slot, void *userdata);
void memory_on_retire(Stream *stream, uint64_t slots, bool revoked);
