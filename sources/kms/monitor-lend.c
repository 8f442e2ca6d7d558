/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a screen shows, lent as it is: nothing is copied, and who looks sees what is drawn meanwhile, which
 * the frame's flag "volatile" says.
 */
#include <errno.h>
#include <string.h>

#include "sources/kms/monitor.h"

static Monitor *monitor_of_program(Program *p) {
        return (Monitor *)((char *)p - offsetof(Monitor, program));
}

static void on_released(Program *p, uint64_t buffer) {
        lender_returned(&monitor_of_program(p)->lender, buffer, false);
}

static void on_retired(Program *p, uint64_t buffer) {
        lender_returned(&monitor_of_program(p)->lender, buffer, true);
}

void monitor_offer_memory(Monitor *m) {
        if (m->method == GRAB_DUMB)
                return;
        m->program.lendable[0] = FRAMEBUS_MEMORY_DMABUF;
        m->program.n_lendable = 1;
        m->program.released = on_released;
        m->program.retired = on_retired;
}

bool monitor_is_lending(const Monitor *m) {
        return m->program.memories & (1u << FRAMEBUS_MEMORY_DMABUF);
}

int monitor_lend(Monitor *m, const Grab *g, const CopyPlan *plan, struct framebus_push_info *info) {
        uint64_t gone;
        Loan *loan;
        int r;

        r = lender_find(&m->lender, g, plan, &loan, info->planes, &gone);
        if (r < 0)
                return r;
        if (gone)
                (void)framebus_publisher_forget(m->program.pub, gone);
        info->memory = FRAMEBUS_MEMORY_DMABUF;
        info->buffer = loan->buffer;
        info->flags |= FRAMEBUS_FRAME_VOLATILE;
        loan->lent = program_lend(&m->program, loan->fds, loan->n_fds, info);
        return loan->lent;
}

void monitor_forget_loans(Monitor *m) {
        uint64_t buffer;

        while ((buffer = lender_drop(&m->lender)))
                (void)framebus_publisher_forget(m->program.pub, buffer);
}
