/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a frame was lost; the words are those of org.framebus.Subscription1.Lost. */
#pragma once

typedef enum LossReason {
        LOSS_NO_CREDIT,
        LOSS_RATE,
        LOSS_SUPERSEDED,
        LOSS_SUSPENDED,
        LOSS_KEYFRAME,
        LOSS_SOURCE,
        LOSS_CORRUPT,
        LOSS_QUOTA,
        _LOSS_MAX,
} LossReason;

const char *loss_reason_to_string(LossReason reason);
