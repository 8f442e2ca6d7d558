/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory that travels. The only file that says F_SEAL_*.
 *
 * A sealed memfd has SHRINK, GROW, WRITE and SEAL: the kernel keeps everybody from changing it, for ever.
 * A slot of a pool has SHRINK, GROW and FUTURE_WRITE: who made it goes on writing by the mapping that it had
 * before, and nobody else can.
 * Seals are checked by mask, since others may be there too (MFD_NOEXEC_SEAL adds F_SEAL_EXEC on Linux 6.3 and
 * later).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* An empty memfd that can be sealed, close-on-exec, not executable where the kernel knows how. */
int memfd_new(const char *name);

/* Writes @size bytes at @data behind what was written before; at most SSIZE_MAX. write(2) is cheaper than
 * mapping and faulting in fresh pages. Negative errno; then part of it may be there. */
int memfd_append(int fd, const void *data, size_t size);

/* A sealed memfd with a copy of @size bytes at @data. Errors: negative errno (-EMSGSIZE: larger than a file
 * can be; -ENOSPC, -ENOMEM, -EMFILE, …). */
int memfd_new_sealed(const char *name, const void *data, size_t size);

/* Gives @fd its final seals. No writable mapping of it may exist: -EBUSY. */
int memfd_seal(int fd);

/* Makes @fd a slot of a pool: before anybody else has it, and after it was mapped for writing. memfd_seal()
 * ends that, once the mapping is gone. Negative errno. */
int memfd_seal_pool(int fd);

/* A file of @size bytes, zeros, that its maker writes by the mapping in *@ret_map alone, and everybody may
 * read: SHRINK, GROW, FUTURE_WRITE and SEAL. The mapping is the caller's to unmap. Negative errno. */
int memfd_new_page(const char *name, size_t size, void **ret_map);

/*
 * Judges a file descriptor that somebody else passed as sealed memory.
 * Returns 0 and the file's size; FB_E_INVALID_MEMORY if it is no memfd on tmpfs (a pipe, an O_PATH
 * descriptor, a hugetlbfs file, …); FB_E_NOT_SEALED if a seal is missing. @ret_why says which, for people.
 */
int memfd_judge_sealed(int fd_borrow, uint64_t *ret_size, const char **ret_why);

/* The same for leased memory: SHRINK, GROW, and FUTURE_WRITE or WRITE, so that only who made it may be able
 * to write to it. */
int memfd_judge_leased(int fd_borrow, uint64_t *ret_size, const char **ret_why);
