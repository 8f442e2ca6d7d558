/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The small helpers of base/: lists, owning locals, fractions of a second. */
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "tests/unit/test.h"

typedef struct Item {
        int value;
        List link; // in the list
} Item;

static int list_digits(List *head) {
        Item *i;
        int n = 0;

        list_for_each(i, head, link)
                n = 10 * n + i->value;
        return n;
}

TEST(elements_keep_their_order) {
        Item a = { 1 }, b = { 2 }, c = { 3 };
        List head;

        list_init(&head);
        CHECK(list_is_empty(&head));
        CHECK(!list_first(&head, Item, link));
        list_append(&head, &a.link);
        list_append(&head, &b.link);
        list_append(&head, &c.link);
        CHECK_INT(list_digits(&head), 123);
        CHECK(list_first(&head, Item, link) == &a);
        list_remove(&b.link);
        CHECK_INT(list_digits(&head), 13);
        list_append(&head, &b.link);
        CHECK_INT(list_digits(&head), 132);
}

TEST(removing_twice_or_what_was_never_in_is_harmless) {
        Item a = { 1 }, b = { 2 };
        List head;

        list_init(&head);
        list_append(&head, &a.link);
        list_remove(&b.link);
        list_remove(&a.link);
        list_remove(&a.link);
        CHECK(list_is_empty(&head));
}

TEST(the_safe_walk_survives_removal_of_its_element) {
        Item items[] = { { 1 }, { 2 }, { 3 }, { 4 } }, *i, *next;
        List head;

        list_init(&head);
        for (size_t k = 0; k < FB_ELEMENTSOF(items); k++)
                list_append(&head, &items[k].link);
        list_for_each_safe(i, next, &head, link)
                if (i->value % 2 == 0)
                        list_remove(&i->link);
        CHECK_INT(list_digits(&head), 13);
}

static int forward(int r) {
        fb_try(r);
        return 100;
}

TEST(both_classes_of_errors_are_forwarded) {
        CHECK_INT(forward(-ENOMEM), -ENOMEM);
        CHECK_INT(forward(FB_E_LIMIT), FB_E_LIMIT);
        CHECK_INT(forward(0), 100);
}

TEST(owning_locals_close_and_hand_over) {
        int kept, seen;

        {
                _cleanup_close_ int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
                _cleanup_close_ int b = open("/dev/null", O_RDONLY | O_CLOEXEC);

                seen = a;
                kept = take_fd(b);
                CHECK_INT(b, -1);
        }
        CHECK(fcntl(seen, F_GETFD) < 0);
        CHECK(fcntl(kept, F_GETFD) >= 0);
        CHECK_INT(fb_close(kept), -1);
        CHECK(fcntl(kept, F_GETFD) < 0);
        CHECK_INT(fb_close(-1), -1);
}

TEST(the_clock_does_not_go_back) {
        uint64_t a = clock_now_ns(), b = clock_now_ns();

        CHECK(a > 0);
        CHECK(b >= a);
}

TEST_MAIN
