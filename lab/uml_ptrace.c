/* Preloaded for linux.uml: a ptrace that accepts a part of a task's XSAVE state. uml.py says why.
 *
 * The kernel takes PTRACE_SETREGSET of NT_X86_XSTATE only with the whole state, whose size the processor decides.
 * Here the caller's part is written as a whole state in which all that the caller does not know is in its initial
 * configuration: its bits in XSTATE_BV are clear. Everything else goes through unchanged.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* Intel SDM volume 1, 13.4: the legacy region, then a header that begins with XSTATE_BV. */
enum { XSTATE_BV = 512, HEADER_END = 576, LARGEST = 65536 };

typedef long (*ptrace_function)(enum __ptrace_request, ...);

static ptrace_function next_ptrace;

/* Before main: linux.uml calls ptrace from small stacks of its own. */
__attribute__((constructor)) static void find_next(void) {
    next_ptrace = (ptrace_function)dlsym(RTLD_NEXT, "ptrace");
}

/* XSTATE_BV with the bit of each component that lies wholly in the first `length` bytes. */
static uint64_t components_within(size_t length) {
    uint64_t within = 3; /* x87 and SSE: the legacy region */
    for (unsigned component = 2; component < 63; component++) {
        unsigned size, offset, flags, unused;
        __cpuid_count(0xd, component, size, offset, flags, unused);
        if (size != 0 && (size_t)offset + size <= length) within |= UINT64_C(1) << component;
    }
    return within;
}

static long set_state(pid_t pid, struct iovec *part) {
    /* Static, because they are larger than the caller's stack; linux.uml calls ptrace from one thread only. */
    static unsigned char state[LARGEST];
    static size_t whole, part_length;
    static uint64_t components;

    if (whole == 0) {
        struct iovec probe = {state, sizeof state};
        if (next_ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &probe) < 0) return -1;
        whole = probe.iov_len;
    }
    if (part->iov_len < HEADER_END || part->iov_len >= whole) {
        return next_ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, part);
    }
    if (part->iov_len != part_length) { /* CPUID is slow in a virtual machine. */
        part_length = part->iov_len;
        components = components_within(part_length);
    }
    memset(state + part_length, 0, whole - part_length);
    memcpy(state, part->iov_base, part_length);
    uint64_t present;
    memcpy(&present, state + XSTATE_BV, sizeof present);
    present &= components;
    memcpy(state + XSTATE_BV, &present, sizeof present);
    return next_ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &(struct iovec){state, whole});
}

long ptrace(enum __ptrace_request request, ...) {
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE) return set_state(pid, data);
    /* glibc's own ptrace: PTRACE_PEEK… return what they read. */
    return next_ptrace(request, pid, address, data);
}
