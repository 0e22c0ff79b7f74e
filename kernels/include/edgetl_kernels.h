/* What a built library of kernels says of itself. */
#ifndef EDGETL_KERNELS_H
#define EDGETL_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a struct or a function of this ABI changes: a caller of another number must not call. */
enum { EDGETL_KERNELS_ABI = 1 };

int edgetl_kernels_abi(void);

/* Compute capabilities that it was built for, times 100: "750,870"; empty where the toolkit does not tell (before
 * CUDA 11.5). Static text. */
const char *edgetl_kernels_architectures(void);

#ifdef __cplusplus
}
#endif

#endif
