/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that all ends agree on: what the XML files of this folder are to people, this is to the code. */
#pragma once

#define FB_BUS_NAME "org.framebus"

#define FB_PATH_MANAGER       "/org/framebus"
#define FB_PATH_SOURCE_PREFIX "/org/framebus/source"
#define FB_PATH_SUBSCRIPTION  "/org/framebus/subscription" /* a prefix on the bus, the object on a channel */
#define FB_PATH_PUBLICATION   "/org/framebus/publication"
#define FB_PATH_COMMIT_PREFIX "/org/framebus/commit" /* of Committed on the bus */

/* PulseVideo's, see com.stbtester.VideoSource2.xml */
#define FB_LEGACY_NAME_PREFIX "com.stbtester.VideoSource."
#define FB_PATH_LEGACY        "/com/stbtester/VideoSource"
#define FB_IFACE_LEGACY_1     "com.stbtester.VideoSource1"
#define FB_IFACE_LEGACY_2     "com.stbtester.VideoSource2"

#define FB_IFACE_MANAGER      "org.framebus.Manager1"
#define FB_IFACE_SOURCE       "org.framebus.Source1"
#define FB_IFACE_SUBSCRIPTION "org.framebus.Subscription1"
#define FB_IFACE_PUBLICATION  "org.framebus.Publication1"
#define FB_IFACE_RECEIPT      "org.framebus.Receipt1"
#define FB_IFACE_CONTROLS     "org.framebus.Controls1"

/* D-Bus error names. The map from the broker's own error codes is broker/api/errors.c. */
#define FB_ERROR_UNKNOWN_OPTION      "org.framebus.Error.UnknownOption"
#define FB_ERROR_INVALID_OPTION      "org.framebus.Error.InvalidOption"
#define FB_ERROR_INVALID_NAME        "org.framebus.Error.InvalidName"
#define FB_ERROR_NAME_TAKEN          "org.framebus.Error.NameTaken"
#define FB_ERROR_NO_SUCH_SOURCE      "org.framebus.Error.NoSuchSource"
#define FB_ERROR_NO_COMMON_MODE      "org.framebus.Error.NoCommonMode"
#define FB_ERROR_NO_COMMON_MEMORY    "org.framebus.Error.NoCommonMemory"
#define FB_ERROR_SOURCE_FAILED       "org.framebus.Error.SourceFailed"
#define FB_ERROR_LIMITS_EXCEEDED     "org.framebus.Error.LimitsExceeded"
#define FB_ERROR_FD_PASSING_REQUIRED "org.framebus.Error.FdPassingRequired"
#define FB_ERROR_INVALID_SOCKET      "org.framebus.Error.InvalidSocket"
#define FB_ERROR_NOT_WATCHING        "org.framebus.Error.NotWatching"
#define FB_ERROR_NOT_SUPPORTED       "org.framebus.Error.NotSupported"
#define FB_ERROR_INVALID_FRAME       "org.framebus.Error.InvalidFrame"
#define FB_ERROR_NOT_SEALED          "org.framebus.Error.NotSealed"
#define FB_ERROR_INVALID_MEMORY      "org.framebus.Error.InvalidMemory"
#define FB_ERROR_NO_SUCH_CONTROL     "org.framebus.Error.NoSuchControl"
#define FB_ERROR_INVALID_VALUE       "org.framebus.Error.InvalidValue"
#define FB_ERROR_CONTROL_FAILED      "org.framebus.Error.ControlFailed"
#define FB_ERROR_INVALID_RULES       "org.framebus.Error.InvalidRules"
#define FB_ERROR_ACCESS_DENIED       "org.freedesktop.DBus.Error.AccessDenied"

/* Signatures of the messages on the frame path. */
#define FB_SIGNATURE_FRAME  "tttuuaha(uttu)a{sv}"
#define FB_SIGNATURE_FORMAT "tua{sv}"
