/* Writes a part of a stopped child's XSAVE state and exits with 0 if the child then has what was written. */
#include <elf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PART = 2696, XMM0 = 160, XSTATE_BV = 512, SSE = 1 << 1 };
static const uint64_t TILES = UINT64_C(3) << 17, WRITTEN = 0x1234567890abcdef;
static volatile long marker = -77;

static int failed(const char *what) {
    perror(what);
    return 1;
}

/* Stops, and returns whether xmm0 then holds what the parent wrote. */
static int child(void) {
    uint64_t found;
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    __asm__ volatile("pxor %%xmm0, %%xmm0\n\tsyscall\n\tmovq %%xmm0, %0"
                     : "=r"(found)
                     : "a"(62L), "D"((long)getpid()), "S"((long)SIGSTOP) /* kill */
                     : "rcx", "r11", "xmm0", "memory");
    return found != WRITTEN;
}

int main(void) {
    static unsigned char state[PART];
    struct iovec part = {state, sizeof state};
    uint64_t present;
    int status;
    pid_t pid = fork();
    if (pid == 0) _exit(child());
    waitpid(pid, &status, 0);
    if (ptrace(PTRACE_PEEKDATA, pid, (void *)&marker, NULL) != marker) return failed("PTRACE_PEEKDATA");
    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &part) < 0) return failed("PTRACE_GETREGSET");
    memcpy(state + XMM0, &WRITTEN, sizeof WRITTEN);
    /* Nothing in the part says what the tiles hold. */
    memcpy(&present, state + XSTATE_BV, sizeof present);
    present |= SSE | TILES;
    memcpy(state + XSTATE_BV, &present, sizeof present);
    part.iov_len = PART;
    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &part) < 0) return failed("PTRACE_SETREGSET");
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    kill(pid, SIGCONT);
    waitpid(pid, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
