/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "broker/api/errors.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "base/text.h"
#include "interfaces/names.h"

static const char *const names[_FB_E_MAX] = {
        [FB_E_UNKNOWN_OPTION] = FB_ERROR_UNKNOWN_OPTION,
        [FB_E_INVALID_OPTION] = FB_ERROR_INVALID_OPTION,
        [FB_E_INVALID_NAME] = FB_ERROR_INVALID_NAME,
        [FB_E_NAME_TAKEN] = FB_ERROR_NAME_TAKEN,
        [FB_E_NO_SUCH_SOURCE] = FB_ERROR_NO_SUCH_SOURCE,
        [FB_E_NO_COMMON_MODE] = FB_ERROR_NO_COMMON_MODE,
        [FB_E_NO_COMMON_MEMORY] = FB_ERROR_NO_COMMON_MEMORY,
        [FB_E_SOURCE_FAILED] = FB_ERROR_SOURCE_FAILED,
        [FB_E_LIMIT] = FB_ERROR_LIMITS_EXCEEDED,
        [FB_E_NO_FD_PASSING] = FB_ERROR_FD_PASSING_REQUIRED,
        [FB_E_INVALID_SOCKET] = FB_ERROR_INVALID_SOCKET,
        [FB_E_NOT_WATCHING] = FB_ERROR_NOT_WATCHING,
        [FB_E_NOT_SUPPORTED] = FB_ERROR_NOT_SUPPORTED,
        [FB_E_INVALID_FRAME] = FB_ERROR_INVALID_FRAME,
        [FB_E_NOT_SEALED] = FB_ERROR_NOT_SEALED,
        [FB_E_INVALID_MEMORY] = FB_ERROR_INVALID_MEMORY,
        [FB_E_NO_SUCH_CONTROL] = FB_ERROR_NO_SUCH_CONTROL,
        [FB_E_INVALID_VALUE] = FB_ERROR_INVALID_VALUE,
        [FB_E_CONTROL_FAILED] = FB_ERROR_CONTROL_FAILED,
        [FB_E_ACCESS_DENIED] = FB_ERROR_ACCESS_DENIED,
        [FB_E_GONE] = FB_ERROR_SOURCE_FAILED,
        [FB_E_INVALID_RULES] = FB_ERROR_INVALID_RULES,
};

int api_error(sd_bus_error *ret_error, int r, const char *format, ...) {
        char message[1024];
        va_list ap;

        if (r <= 0 || r >= _FB_E_MAX)
                return sd_bus_error_set_errno(ret_error, r);
        va_start(ap, format);
        vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        text_trim(message); /* cut inside of a character it could not be sent at all */
        return sd_bus_error_set(ret_error, names[r], message);
}

int api_refuse(sd_bus_error *ret_error, const QuotaRefusal *why) {
        char text[QUOTA_TEXT_MAX];

        return api_error(ret_error, FB_E_LIMIT, "%s%s", quota_refusal_to_string(why, text),
                         why->kind == QUOTA_WINDOW_BYTES ? ": ask for a smaller window or mode" : "");
}
