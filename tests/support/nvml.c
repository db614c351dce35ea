/* A stand-in libnvidia-ml.so.1: what it says is read at every call from the file FAKE_NVML_FILE, which tests/support/nvml.py
 * writes. One fact a line, words parted by spaces, a name last since it may have spaces:
 *   driver VERSION
 *   gpu UUID TOTAL USED UTILIZATION ERROR ECC MIG NAME      the next number; UTILIZATION -1: not told; MIG 1: in MIG mode
 *   instance UUID TOTAL USED ERROR ID NAME                  of the GPU above; ID: of its GPU instance
 *   process PID MEMORY UTILIZATION                          of the GPU or instance above; -1: not told
 *   xid NUMBER UUID CODE ID                                 NUMBER rises; ID: of a GPU instance, -1 for none
 *   hang FUNCTION, crash FUNCTION                           `*` for every function
 *   fail FUNCTION CODE                                      such as 13, of a driver that has no such function */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNITS 512
#define PROCESSES 4096
#define NONE 0xffffffffu

enum { INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10, LOST = 15 };

typedef unsigned long long bytes;
typedef struct { bytes total, free, used; } memory;
typedef struct { unsigned version; bytes total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } rates;
typedef struct { unsigned pid; bytes memory; unsigned instance, compute; } process;
typedef struct { unsigned pid; bytes time; unsigned sm, memory, encoder, decoder; } sample;
typedef struct { void *device; bytes type, data; unsigned instance, compute; } event;

typedef struct { char uuid[96], name[96]; bytes total, used, ecc; int utilization, error, mig, parent, id; } unit;
typedef struct { int unit, utilization; unsigned pid; long long memory; } user;
typedef struct { bytes number, code; char uuid[96]; int id; } xid;
typedef struct { char driver[64]; int units, users, xids; unit unit[UNITS]; user user[PROCESSES]; xid xid[64]; } state;

/* What the file says of `function`: 0, or the code that it shall return. It may hang, or end the process. */
static int obey(const char *function, state *all) {
    for (;;) {
        char line[512], word[96];
        int code, failure = 0, hangs = 0, gpu = -1;
        const char *path = getenv("FAKE_NVML_FILE");
        FILE *file = path ? fopen(path, "r") : NULL;
        memset(all, 0, sizeof *all);
        strcpy(all->driver, "999.0");
        while (file && fgets(line, sizeof line, file)) {
            unit *last = &all->unit[all->units];
            user *one = &all->user[all->users];
            xid *news = &all->xid[all->xids];
            sscanf(line, "driver %63s", all->driver);
            if (all->units < UNITS && sscanf(line, "gpu %95s %llu %llu %d %d %llu %d %95[^\n]", last->uuid, &last->total,
                       &last->used, &last->utilization, &last->error, &last->ecc, &last->mig, last->name) == 8) {
                last->parent = last->id = -1;
                gpu = all->units++;
            }
            if (all->units < UNITS && gpu >= 0 && sscanf(line, "instance %95s %llu %llu %d %d %95[^\n]", last->uuid,
                       &last->total, &last->used, &last->error, &last->id, last->name) == 6) {
                last->utilization = -1;
                last->parent = gpu;
                all->units++;
            }
            if (all->users < PROCESSES
                && sscanf(line, "process %u %lld %d", &one->pid, &one->memory, &one->utilization) == 3) {
                one->unit = all->units - 1;
                all->users++;
            }
            if (all->xids < 64 && sscanf(line, "xid %llu %95s %llu %d", &news->number, news->uuid, &news->code, &news->id) == 4)
                all->xids++;
            if (sscanf(line, "hang %95s", word) == 1 && (!strcmp(word, "*") || !strcmp(word, function))) hangs = 1;
            if (sscanf(line, "crash %95s", word) == 1 && (!strcmp(word, "*") || !strcmp(word, function))) abort();
            if (sscanf(line, "fail %95s %d", word, &code) == 2 && !strcmp(word, function)) failure = code;
        }
        if (file) fclose(file);
        if (!hangs) return failure;
        usleep(20000);
    }
}

/* A handle is a unit's number and one: it outlives the writing of a new file, and is of a lost GPU if that has fewer. */
static int at(const char *function, void *handle, state *all, unit **found) {
    int code = obey(function, all);
    size_t number = (size_t)handle;
    if (code) return code;
    if (number < 1 || number > (size_t)all->units) return LOST;
    *found = &all->unit[number - 1];
    return (*found)->error;
}

#define OBEY                                   \
    state *all = malloc(sizeof *all);          \
    int code = obey(__func__, all);            \
    if (code) { free(all); return code; }
#define AT(handle)                             \
    state *all = malloc(sizeof *all);          \
    unit *one = NULL;                          \
    int code = at(__func__, handle, all, &one);\
    if (code) { free(all); return code; }
#define DONE(code) do { int answer = (code); free(all); return answer; } while (0)

int nvmlInitWithFlags(unsigned flags) { OBEY (void)flags; DONE(0); }
int nvmlInit_v2(void) { OBEY DONE(0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code ? "stand-in error" : "Success"; }

int nvmlSystemGetDriverVersion(char *text, unsigned size) { OBEY snprintf(text, size, "%s", all->driver); DONE(0); }
int nvmlSystemGetNVMLVersion(char *text, unsigned size) { OBEY snprintf(text, size, "12.%s", all->driver); DONE(0); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { OBEY *version = 12040; DONE(0); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    OBEY
    *count = 0;
    for (int i = 0; i < all->units; i++) *count += all->unit[i].parent < 0;
    DONE(0);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    OBEY
    for (int i = 0; i < all->units; i++)
        if (all->unit[i].parent < 0 && index-- == 0) {
            *handle = (void *)(size_t)(i + 1);
            /* As the real one: a GPU that has fallen off the bus has no handle, other errors come later. */
            DONE(all->unit[i].error == LOST ? LOST : 0);
        }
    DONE(INVALID_ARGUMENT);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    OBEY
    for (int i = 0; i < all->units; i++)
        if (!strcmp(all->unit[i].uuid, uuid)) { *handle = (void *)(size_t)(i + 1); DONE(all->unit[i].error); }
    DONE(NOT_FOUND);
}

int nvmlDeviceGetIndex(void *handle, unsigned *index) {
    AT(handle)
    *index = 0;
    for (unit *other = all->unit; other < one; other++) *index += other->parent < 0;
    DONE(0);
}

int nvmlDeviceGetMinorNumber(void *handle, unsigned *number) { return nvmlDeviceGetIndex(handle, number); }
int nvmlDeviceGetName(void *handle, char *text, unsigned size) { AT(handle) snprintf(text, size, "%s", one->name); DONE(0); }
int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) { AT(handle) snprintf(text, size, "%s", one->uuid); DONE(0); }

int nvmlDeviceGetMemoryInfo(void *handle, memory *told) {
    AT(handle)
    told->total = one->total;
    told->used = one->used;
    told->free = one->total - one->used;
    DONE(0);
}

int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *told) {
    AT(handle)
    told->total = one->total;
    told->reserved = 0;
    told->used = one->used;
    told->free = one->total - one->used;
    DONE(0);
}

int nvmlDeviceGetUtilizationRates(void *handle, rates *told) {
    AT(handle)
    if (one->utilization < 0) DONE(NOT_SUPPORTED);
    told->gpu = one->utilization;
    told->memory = one->utilization / 2;
    DONE(0);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process *told) {
    AT(handle)
    unsigned found = 0, room = told ? *count : 0;
    int unit = one - all->unit;
    for (user *who = all->user; who < all->user + all->users; who++) {
        if (who->unit != unit) continue;
        if (found < room) {
            told[found].pid = who->pid;
            told[found].memory = who->memory < 0 ? ~0ULL : (bytes)who->memory;
            told[found].instance = one->parent < 0 ? NONE : (unsigned)one->id;
            told[found].compute = one->parent < 0 ? NONE : 0;
        }
        found++;
    }
    *count = found;
    DONE(found > room ? INSUFFICIENT_SIZE : 0);
}

int nvmlDeviceGetProcessUtilization(void *handle, sample *told, unsigned *count, bytes since) {
    AT(handle)
    (void)since;
    unsigned found = 0, room = told ? *count : 0;
    int unit = one - all->unit;
    if (one->parent >= 0) DONE(NOT_SUPPORTED);
    for (user *who = all->user; who < all->user + all->users; who++) {
        if (who->unit != unit || who->utilization < 0) continue;
        if (found < room) {
            memset(&told[found], 0, sizeof *told);
            told[found].pid = who->pid;
            told[found].time = 1000000 + found;
            told[found].sm = who->utilization;
        }
        found++;
    }
    *count = found;
    DONE(found > room ? INSUFFICIENT_SIZE : found ? 0 : NOT_FOUND);
}

int nvmlDeviceGetTotalEccErrors(void *handle, int type, int counter, bytes *count) {
    AT(handle)
    (void)counter;
    if (one->parent >= 0) DONE(NOT_SUPPORTED);
    *count = type == 1 ? one->ecc : 0;
    DONE(0);
}

int nvmlDeviceGetMigMode(void *handle, unsigned *now, unsigned *next) {
    AT(handle)
    if (one->parent >= 0) DONE(NOT_SUPPORTED);
    *now = *next = one->mig;
    DONE(0);
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) { AT(handle) *count = one->mig ? 7 : 0; DONE(0); }

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **found) {
    AT(handle)
    int unit = one - all->unit;
    for (int i = 0; i < all->units; i++)
        if (all->unit[i].parent == unit && index-- == 0) { *found = (void *)(size_t)(i + 1); DONE(0); }
    DONE(NOT_FOUND);
}

int nvmlDeviceGetGpuInstanceId(void *handle, unsigned *id) {
    AT(handle)
    if (one->parent < 0) DONE(NOT_SUPPORTED);
    *id = one->id;
    DONE(0);
}

/* Each event is told once, to whoever waits first: as by the driver, it is not told again to a later process. */
static int first(bytes number) {
    char path[4096];
    int file;
    snprintf(path, sizeof path, "%s.told-%llu", getenv("FAKE_NVML_FILE"), number);
    file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (file >= 0) close(file);
    return file >= 0;
}

int nvmlEventSetCreate(void **set) { OBEY *set = (void *)1; DONE(0); }
int nvmlEventSetFree(void *set) { (void)set; return 0; }
int nvmlDeviceGetSupportedEventTypes(void *handle, bytes *types) { AT(handle) *types = 8; DONE(0); }
int nvmlDeviceRegisterEvents(void *handle, bytes types, void *set) { AT(handle) (void)types; (void)set; DONE(0); }

int nvmlEventSetWait_v2(void *set, event *told, unsigned timeout_ms) {
    (void)set;
    for (unsigned waited = 0;; waited += 20) {
        OBEY
        for (int i = 0; i < all->xids; i++) {
            if (!first(all->xid[i].number)) continue;
            memset(told, 0, sizeof *told);
            for (int j = 0; j < all->units; j++)
                if (!strcmp(all->unit[j].uuid, all->xid[i].uuid)) told->device = (void *)(size_t)(j + 1);
            told->type = 8;
            told->data = all->xid[i].code;
            told->instance = told->compute = all->xid[i].id < 0 ? NONE : (unsigned)all->xid[i].id;
            DONE(0);
        }
        free(all);
        if (waited >= timeout_ms) return TIMEOUT;
        usleep(20000);
    }
}
