/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A framebuffer is known again by the inode of its dma-buf, which stays the same as long as it is open here.
 * Its number is not that: the same memory gets another one when it was retired.
 */
#include "sources/kms/lender.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <xf86drm.h>

#include "base/cleanup.h"

static void loan_close(Loan *loan) {
        for (size_t i = 0; i < loan->n_fds; i++)
                fb_close(loan->fds[i]);
        *loan = (Loan){ 0 };
}

/* A dma-buf for each memory of the framebuffer, open for reading only. */
static int loan_export(Loan *loan, const Grab *g, const CopyPlan *plan) {
        struct stat st;

        for (size_t i = 0; i < plan->n_planes; i++) {
                if (!g->handles[i])
                        return -ERANGE;
                if (grab_get_owner(g, i) != i)
                        continue;
                if (drmPrimeHandleToFD(g->card_fd, g->handles[i], DRM_CLOEXEC, &loan->fds[loan->n_fds]) < 0)
                        return errno ? -errno : -EIO;
                loan->n_fds++;
        }
        if (fstat(loan->fds[0], &st) < 0)
                return -errno;
        loan->ino = st.st_ino;
        return 0;
}

static void planes_in_place(const Grab *g, const CopyPlan *plan,
                            struct framebus_plane ret_planes[COPYPLAN_PLANES_MAX]) {
        uint32_t n = 0;

        for (size_t i = 0; i < plan->n_planes; i++) {
                size_t owner = grab_get_owner(g, i);

                ret_planes[i] = (struct framebus_plane){
                        .memory = owner == i ? n++ : ret_planes[owner].memory,
                        .stride = (uint32_t)plan->from[i].pitch,
                        .offset = plan->from[i].offset,
                        .size = plan->from[i].end - plan->from[i].offset,
                };
        }
}

/* Brings the loan at @i to the front. */
static Loan *lender_use(Lender *l, size_t i) {
        Loan loan = l->loans[i];

        memmove(l->loans + 1, l->loans, i * sizeof loan);
        l->loans[0] = loan;
        return l->loans;
}

/* A place for @loan: the longest unused that nobody has. */
static int lender_keep(Lender *l, const Loan *loan, uint64_t *ret_gone) {
        for (size_t i = LOANS_MAX; i-- > 0;) {
                if (l->loans[i].lent)
                        continue;
                *ret_gone = l->loans[i].buffer;
                loan_close(&l->loans[i]);
                l->loans[i] = *loan;
                l->loans[i].buffer = ++l->last_buffer;
                (void)lender_use(l, i);
                return 0;
        }
        return -EBUSY;
}

static void loan_closep(Loan *loan) {
        loan_close(loan);
}

int lender_find(Lender *l, const Grab *g, const CopyPlan *plan, Loan **ret_loan,
                struct framebus_plane ret_planes[COPYPLAN_PLANES_MAX], uint64_t *ret_gone) {
        __attribute__((cleanup(loan_closep))) Loan loan = { 0 };
        int r = loan_export(&loan, g, plan);

        if (r < 0)
                return r;
        *ret_gone = 0;
        planes_in_place(g, plan, ret_planes);
        for (size_t i = 0; i < LOANS_MAX; i++)
                if (l->loans[i].buffer && l->loans[i].ino == loan.ino) {
                        *ret_loan = lender_use(l, i);
                        return (*ret_loan)->lent ? -EBUSY : 0;
                }
        r = lender_keep(l, &loan, ret_gone);
        if (r < 0)
                return r;
        loan = (Loan){ 0 };
        *ret_loan = l->loans;
        return 0;
}

void lender_returned(Lender *l, uint64_t buffer, bool over) {
        for (size_t i = 0; i < LOANS_MAX; i++)
                if (l->loans[i].buffer == buffer) {
                        l->loans[i].lent = false;
                        if (over)
                                loan_close(&l->loans[i]);
                        return;
                }
}

uint64_t lender_drop(Lender *l) {
        for (size_t i = 0; i < LOANS_MAX; i++)
                if (l->loans[i].buffer && !l->loans[i].lent) {
                        uint64_t buffer = l->loans[i].buffer;

                        loan_close(&l->loans[i]);
                        return buffer;
                }
        return 0;
}

void lender_deinit(Lender *l) {
        for (size_t i = 0; i < LOANS_MAX; i++)
                loan_close(&l->loans[i]);
}
