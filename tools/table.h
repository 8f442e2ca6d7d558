/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table of text, its columns as wide as they need to be; the last one takes what is left. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12u

typedef struct Table {
        const char *const *heads; /* n_columns, borrowed */
        size_t n_columns;
        char **cells; /* n_rows times n_columns, owned */
        size_t n_rows;
} Table;

/* Adds a row of n_columns texts, copied; NULL: "". Returns 0 or -ENOMEM. */
int table_add(Table *t, const char *const *cells);

/* Sorts by the first column. */
void table_sort(Table *t);

/* Prints heads and rows. Returns 0, or the negative errno of writing. */
int table_print(const Table *t, FILE *f);

/* Frees the rows. Of a zeroed one, too. */
void table_deinit(Table *t);
