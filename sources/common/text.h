/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text that goes into D-Bus messages but comes from file names and damaged files. */
#pragma once

/* Replaces every byte that is not part of valid UTF-8 (also of a sequence cut off at the end) or is a control
 * character by a question mark. */
void text_clean(char *s);
