/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text of other people's programs on a terminal: what they put in must not move the cursor or change the
 * window. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* Bytes of the UTF-8 character that @s begins with, 1 to 4; 0: none (overlong, surrogate, truncated, stray
 * byte). */
size_t text_utf8_length(const char *s);

/* Prints @s with control characters (C0, DEL, C1) and what is no UTF-8 replaced by '?'. NULL: "". Returns how
 * many characters were printed, as far as a count of code points says it. */
size_t text_print(FILE *f, const char *s);

/* As text_print(), then blanks up to @width characters. */
void text_print_padded(FILE *f, const char *s, size_t width);

/* The number of characters that text_print() prints. */
size_t text_width(const char *s);

/* Flushes @f. Returns 0, or a negative errno if this or an earlier write to it failed. */
int text_flush(FILE *f);
