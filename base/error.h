/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two classes of errors. Negative errno values are fatal to what the caller is doing and are forwarded.
 * Positive FB_E_* values are outcomes that the caller must handle: mostly somebody else's mistake, which ends
 * that somebody alone.
 */
#pragma once

#include <errno.h>

enum {
        FB_OK = 0,
        FB_E_UNKNOWN_OPTION = 1, /* a key that this interface version does not define */
        FB_E_INVALID_OPTION,     /* a value of the wrong type or out of range */
        FB_E_INVALID_NAME,       /* a source name outside of the grammar */
        FB_E_NAME_TAKEN,         /* the name has an owner that does not yield */
        FB_E_NO_SUCH_SOURCE,
        FB_E_NO_COMMON_MODE,   /* wishes exclude each other */
        FB_E_NO_COMMON_MEMORY, /* no acceptable kind of memory */
        FB_E_SOURCE_FAILED,    /* the capture program could not say what it can do */
        FB_E_LIMIT,            /* a documented limit is reached */
        FB_E_NO_FD_PASSING,    /* the peer cannot receive file descriptors */
        FB_E_INVALID_SOCKET,   /* not a connected AF_UNIX stream of the caller */
        FB_E_NOT_WATCHING,
        FB_E_NOT_SUPPORTED,  /* understood, but not in this version */
        FB_E_INVALID_FRAME,  /* arguments that contradict each other or the format */
        FB_E_NOT_SEALED,     /* a memfd without all the seals its kind needs */
        FB_E_INVALID_MEMORY, /* no memfd, or too short for the planes */
        FB_E_NO_SUCH_CONTROL,
        FB_E_INVALID_VALUE,  /* of a control: the wrong type, or out of range */
        FB_E_CONTROL_FAILED, /* it cannot be set or read, or the device refused */
        FB_E_ACCESS_DENIED,
        FB_E_GONE, /* the other end hung up */
        FB_E_INVALID_RULES,
        _FB_E_MAX,
};

/* A positive result is forwarded as the caller's own, a negative one as well; 0 goes on. */
#define fb_try(expression)                                                                                   \
        do {                                                                                                 \
                int _fb_r = (expression);                                                                    \
                if (_fb_r != 0)                                                                              \
                        return _fb_r;                                                                        \
        } while (0)
