/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A circular list with its links inside the elements. A head is initialised by list_init(); an element need
 * not be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct List List;
struct List {
        List *prev, *next;
};

#define LIST_INIT(head) ((List){ &(head), &(head) })

static inline void list_init(List *l) {
        l->prev = l->next = l;
}

static inline bool list_is_empty(const List *l) {
        return l->next == l || !l->next;
}

static inline void list_append(List *head, List *e) {
        e->prev = head->prev;
        e->next = head;
        head->prev->next = e;
        head->prev = e;
}

/* Safe on an element that is zeroed or was removed already. */
static inline void list_remove(List *e) {
        if (!e->next)
                return;
        e->prev->next = e->next;
        e->next->prev = e->prev;
        e->prev = e->next = NULL;
}

#define list_entry(l, type, member) ((type *)((char *)(l)-offsetof(type, member)))

#define list_for_each(pos, head, member)                                                                     \
        for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head);               \
             pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* @pos itself may be removed in the body; no other element may. */
#define list_for_each_safe(pos, tmp, head, member)                                                           \
        for (pos = list_entry((head)->next, __typeof__(*pos), member),                                       \
            tmp = list_entry(pos->member.next, __typeof__(*pos), member);                                    \
             &pos->member != (head); pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#define list_first(head, type, member) (list_is_empty(head) ? NULL : list_entry((head)->next, type, member))
