/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables on a terminal. Rows are kept until the widths are known; what others wrote is printed safely. */
#include "tools/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tools/text.h"

int table_add(Table *t, const char *const *cells) {
        char **grown, **row;

        grown = reallocarray(t->cells, (t->n_rows + 1) * t->n_columns, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        t->cells = grown;
        row = grown + t->n_rows * t->n_columns;
        for (size_t i = 0; i < t->n_columns; i++) {
                row[i] = strdup(cells[i] ? cells[i] : "");
                if (!row[i]) {
                        while (i > 0)
                                free(row[--i]);
                        return -ENOMEM;
                }
        }
        t->n_rows++;
        return 0;
}

static int row_compare(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void table_sort(Table *t) {
        if (t->n_rows > 0)
                qsort(t->cells, t->n_rows, t->n_columns * sizeof(*t->cells), row_compare);
}

static void row_print(const Table *t, FILE *f, const char *const *cells, const size_t *widths) {
        for (size_t i = 0; i + 1 < t->n_columns; i++)
                text_print_padded(f, cells[i], widths[i] + 2);
        text_print(f, cells[t->n_columns - 1]);
        putc('\n', f);
}

int table_print(const Table *t, FILE *f) {
        size_t widths[TABLE_COLUMNS_MAX] = {};

        for (size_t i = 0; i < t->n_columns; i++) {
                widths[i] = text_width(t->heads[i]);
                for (size_t k = 0; k < t->n_rows; k++)
                        widths[i] = FB_MAX(widths[i], text_width(t->cells[k * t->n_columns + i]));
        }
        row_print(t, f, t->heads, widths);
        for (size_t k = 0; k < t->n_rows; k++)
                row_print(t, f, (const char *const *)t->cells + k * t->n_columns, widths);
        return text_flush(f);
}

void table_deinit(Table *t) {
        for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
                free(t->cells[i]);
        free(t->cells);
        *t = (Table){};
}
