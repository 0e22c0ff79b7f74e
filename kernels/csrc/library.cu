// What the library says of itself: see edgetl_kernels.h.
#include "edgetl_kernels.h"

#define EDGETL_TEXT_OF(...) #__VA_ARGS__
#define EDGETL_TEXT(...) EDGETL_TEXT_OF(__VA_ARGS__)

extern "C" int edgetl_kernels_abi(void) { return EDGETL_KERNELS_ABI; }

extern "C" const char *edgetl_kernels_architectures(void) {
#ifdef __CUDA_ARCH_LIST__
  return EDGETL_TEXT(__CUDA_ARCH_LIST__);
#else
  return "";
#endif
}
