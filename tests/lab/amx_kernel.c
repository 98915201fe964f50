/* Preloaded: a ptrace that behaves as a kernel does whose processor has AMX, on any x86 processor.
 *
 * The XSAVE state has 11008 bytes there, 8192 of which are tiles (Linux: arch/x86/kernel/fpu/regset.c). A part of it can
 * be read. A write of less than the whole is EFAULT, and one that has tiles in XSTATE_BV is EINVAL, because the task has
 * no permission to use them. With -DREFUSE every write is EFAULT, as no kernel does: nothing helps there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum { XSTATE_BV = 512, WHOLE = 11008, LARGEST = 65536 };
static const uint64_t TILES = UINT64_C(3) << 17;

typedef long (*ptrace_function)(enum __ptrace_request, ...);

static ptrace_function next_ptrace;
static unsigned char state[LARGEST];

__attribute__((constructor)) static void find_next(void) {
    next_ptrace = (ptrace_function)dlsym(RTLD_NEXT, "ptrace");
}

/* Reads the task's true state into `state`; its size, or 0. */
static size_t read_true_state(pid_t pid) {
    struct iovec all = {state, sizeof state};
    memset(state, 0, sizeof state);
    return next_ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all) < 0 ? 0 : all.iov_len;
}

static long get_state(pid_t pid, struct iovec *part) {
    if (read_true_state(pid) == 0) return -1;
    if (part->iov_len > WHOLE) part->iov_len = WHOLE;
    memcpy(part->iov_base, state, part->iov_len);
    return 0;
}

static long set_state(pid_t pid, struct iovec *part) {
    uint64_t present;
#ifdef REFUSE
    errno = EFAULT;
    return -1;
#endif
    if (part->iov_len < WHOLE) {
        errno = EFAULT;
        return -1;
    }
    memcpy(&present, (unsigned char *)part->iov_base + XSTATE_BV, sizeof present);
    if (present & TILES) {
        errno = EINVAL;
        return -1;
    }
    size_t true_size = read_true_state(pid);
    if (true_size == 0) return -1;
    if (part->iov_len < true_size) { /* a processor whose state is larger than AMX's */
        memcpy(state, part->iov_base, part->iov_len);
        return next_ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &(struct iovec){state, true_size});
    }
    return next_ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &(struct iovec){part->iov_base, true_size});
}

long ptrace(enum __ptrace_request request, ...) {
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if ((uintptr_t)address == NT_X86_XSTATE && request == PTRACE_GETREGSET) return get_state(pid, data);
    if ((uintptr_t)address == NT_X86_XSTATE && request == PTRACE_SETREGSET) return set_state(pid, data);
    return next_ptrace(request, pid, address, data);
}
