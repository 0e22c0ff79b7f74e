/* A libcuda.so.1 for a CPU: enough of it that PyCUDA and cuda-python run one kernel, on a stream or captured.
 *
 * The device's memory is the host's; work is done at once, or kept while a stream captures and done again by each
 * launch. What is alive is counted; a call without a current context is a fault. Names are facts of CUDA's interface.
 * GENERATED is made by the test: the calls that the bindings link against and nothing here uses.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long Pointer;
enum { OK = 0, OUT_OF_MEMORY = 2, NOT_FOUND = 500 };
enum { CONTEXT, DEVICE, PINNED, STREAM, EVENT, GRAPH, KINDS };
static const char *const NAMES[KINDS] = {"context", "device", "pinned", "stream", "event", "graph"};
static long alive[KINDS], made[KINDS], faults, launches;
static __thread int depth;

static void *make(int kind) {
    alive[kind]++;
    made[kind]++;
    return malloc(64);
}
static int drop(int kind, void *thing) {
    alive[kind]--;
    free(thing);
    return OK;
}
static void in_context(void) { faults += depth == 0; }

const char *edgetl_report(void) {
    static char text[512];
    int at = snprintf(text, sizeof text, "{\"faults\": %ld, \"depth\": %d, \"launches\": %ld", faults, depth, launches);
    for (int kind = 0; kind < KINDS; kind++)
        at += snprintf(text + at, sizeof text - at, ", \"%s\": [%ld, %ld]", NAMES[kind], alive[kind], made[kind]);
    snprintf(text + at, sizeof text - at, "}");
    return text;
}

/* ---- device and context ---- */
int cuInit(unsigned flags) { return OK; }
int cuDriverGetVersion(int *version) { *version = 13000; return OK; }
int cuDeviceGetCount(int *count) { *count = 1; return OK; }
int cuDeviceGet(int *device, int index) { *device = index; return OK; }
int cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Stand-in"); return OK; }
int cuDeviceTotalMem_v2(size_t *size, int device) { *size = 1 << 30; return OK; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 18 ? getenv("EDGETL_INTEGRATED") != NULL : attribute == 75 ? 8 : attribute == 76 ? 7 : 0;
    return OK;
}
static unsigned schedule;
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = schedule; *active = alive[CONTEXT] > 0; return OK; }
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) { faults += alive[CONTEXT] > 0; schedule = flags; return OK; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = make(CONTEXT); return OK; }
int cuDevicePrimaryCtxRelease_v2(int device) { alive[CONTEXT]--; return OK; }
int cuCtxPushCurrent_v2(void *context) { depth++; return OK; }
int cuCtxPopCurrent_v2(void **context) { faults += --depth < 0; return OK; }
int cuGetErrorString(int error, const char **text) { *text = error == OUT_OF_MEMORY ? "out of memory" : "an error"; return OK; }
int cuGetErrorName(int error, const char **text) { *text = "CUDA_ERROR"; return OK; }

/* ---- memory ---- */
int cuMemAlloc_v2(Pointer *pointer, size_t size) {
    in_context();
    if (size > 1ull << 30) return OUT_OF_MEMORY;
    *pointer = (Pointer)malloc(size);
    alive[DEVICE]++;
    made[DEVICE]++;
    return OK;
}
int cuMemFree_v2(Pointer pointer) { in_context(); return drop(DEVICE, (void *)pointer); }
int cuMemHostAlloc(void **memory, size_t size, unsigned flags) {
    in_context();
    *memory = malloc(size);
    alive[PINNED]++;
    made[PINNED]++;
    return OK;
}
int cuMemFreeHost(void *memory) { in_context(); return drop(PINNED, memory); }
int cuMemHostGetDevicePointer_v2(Pointer *pointer, void *memory, unsigned flags) { *pointer = (Pointer)memory; return OK; }

/* ---- streams, events, graphs ---- */
typedef struct { void *target; const void *source; size_t size; int kernel; } Work;
typedef struct { int count; Work work[16]; } Captured;
static Captured *capturing;

static void done(Work work) {
    if (!work.kernel) {
        memcpy(work.target, work.source, work.size);
        return;
    }
    for (size_t at = 0; at < work.size; at++) ((float *)work.target)[at] = 2 * ((const float *)work.source)[at] + 1;
}
static int submit(Work work) {
    in_context();
    if (capturing) capturing->work[capturing->count++] = work;
    else done(work);
    return OK;
}
int cuMemcpyHtoDAsync_v2(Pointer target, const void *source, size_t size, void *stream) {
    return submit((Work){(void *)target, source, size, 0});
}
int cuMemcpyDtoHAsync_v2(void *target, Pointer source, size_t size, void *stream) {
    return submit((Work){target, (void *)source, size, 0});
}
int edgetl_kernel(Pointer source, Pointer target, size_t count, void *stream) {
    return submit((Work){(void *)target, (void *)source, count, 1});
}
int cuStreamCreate(void **stream, unsigned flags) { in_context(); faults += flags != 1; *stream = make(STREAM); return OK; }
int cuStreamDestroy_v2(void *stream) { in_context(); return drop(STREAM, stream); }
int cuStreamSynchronize(void *stream) { in_context(); faults += capturing != NULL; return OK; }
int cuEventCreate(void **event, unsigned flags) { in_context(); *event = make(EVENT); return OK; }
int cuEventRecord(void *event, void *stream) { in_context(); return OK; }
int cuEventElapsedTime(float *ms, void *start, void *end) { *ms = 1; return OK; }
int cuEventElapsedTime_v2(float *ms, void *start, void *end) { *ms = 1; return OK; }
int cuEventDestroy_v2(void *event) { in_context(); return drop(EVENT, event); }
int cuStreamBeginCapture_v2(void *stream, int mode) {
    in_context();
    faults += mode != 1;
    capturing = calloc(1, sizeof *capturing);
    return OK;
}
int cuStreamEndCapture(void *stream, void **graph) { *graph = capturing; capturing = NULL; return OK; }
int cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    *executable = malloc(sizeof(Captured));
    memcpy(*executable, graph, sizeof(Captured));
    alive[GRAPH]++;
    made[GRAPH]++;
    return OK;
}
int cuGraphDestroy(void *graph) { free(graph); return OK; }
int cuGraphExecDestroy(void *executable) { return drop(GRAPH, executable); }
int cuGraphLaunch(void *executable, void *stream) {
    const Captured *captured = executable;
    launches++;
    for (int at = 0; at < captured->count; at++) submit(captured->work[at]);
    return OK;
}

/* ---- how cuda-python finds calls ---- */
static int unknown(void) { return NOT_FOUND; }
int cuGetProcAddress_v2(const char *name, void **call, int version, unsigned long long flags, int *status) {
    static const char *const ENDS[] = {"_v2", "", "WithFlags"};
    char wanted[128];
    for (int at = 0; at < 3; at++) {
        snprintf(wanted, sizeof wanted, "%s%s", name, ENDS[at]);
        if ((*call = dlsym(RTLD_DEFAULT, wanted))) break;
    }
    if (!*call) *call = (void *)unknown;
    if (status) *status = 0;
    return OK;
}
int cuGetProcAddress(const char *name, void **call, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, call, version, flags, NULL);
}
#ifdef GENERATED
#include GENERATED
#endif
